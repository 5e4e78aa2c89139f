// What jsforce does with an org, and what it understands, as one JSON object on standard output.
// Started by ../test_jsforce.py in the folder where jsforce is installed, with ORG_URL, ORG_TOKEN, ORG_ACCOUNT and, to
// log in with, ORG_USERNAME, ORG_PASSWORD, ORG_CLIENT_ID and ORG_CLIENT_SECRET.
import { createRequire } from "node:module";

const jsforce = createRequire(`${process.cwd()}/`)("jsforce");
const { ORG_URL, ORG_TOKEN, ORG_ACCOUNT, ORG_USERNAME, ORG_PASSWORD } = process.env;
const oauth2 = { loginUrl: ORG_URL, clientId: process.env.ORG_CLIENT_ID, clientSecret: process.env.ORG_CLIENT_SECRET };
const LEADS = "SELECT Id, LastName, Owner.Name FROM Lead ORDER BY Id";

const conn = new jsforce.Connection({ instanceUrl: ORG_URL, accessToken: ORG_TOKEN, version: "66.0" });

/** What an attempt is refused with. */
async function refusal(attempt) {
  try {
    await attempt;
  } catch (error) {
    return { code: error.errorCode, message: error.message };
  }
  return null;
}

/** Who a login makes it, by its own account and by that of the org, which it can then ask. */
async function somebody(settings, logIn) {
  const own = new jsforce.Connection({ loginUrl: ORG_URL, version: "66.0", logLevel: "NONE", ...settings });
  const { id } = await logIn(own);
  const found = await own.query(`SELECT Username FROM User WHERE Id = '${id}'`);
  return found.records[0].Username;
}

async function logins() {
  const nobody = new jsforce.Connection({ loginUrl: ORG_URL, version: "66.0", logLevel: "NONE" });
  return {
    soap: await somebody({}, (own) => own.login(ORG_USERNAME, ORG_PASSWORD)),
    password: await somebody({ oauth2 }, (own) => own.login(ORG_USERNAME, ORG_PASSWORD)),
    client: await somebody({ oauth2 }, (own) => own.authorize({ grant_type: "client_credentials" })),
    wrong: await refusal(nobody.login(ORG_USERNAME, "wrong")),
  };
}

async function queries() {
  const first = await conn.query(LEADS);
  const second = await conn.queryMore(first.nextRecordsUrl);
  const whole = await conn.query(LEADS, { autoFetch: true, maxFetch: 10000 });
  const all = await conn.query(LEADS, { autoFetch: true, maxFetch: 10000, scanAll: true });
  return {
    total: first.totalSize,
    pages: [first.records.length, second.records.length],
    owner: first.records[0].Owner.Name,
    live: whole.records.map((each) => each.Id),
    all: all.records.map((each) => each.Id),
    wrong: await refusal(conn.query("SELECT Nope FROM Lead")),
  };
}

async function descriptions() {
  const everything = await conn.describeGlobal();
  const lead = await conn.describe("Lead");
  return {
    objects: everything.sobjects.map((each) => each.name),
    owner: lead.fields.find((each) => each.name === "OwnerId").referenceTo,
  };
}

async function records() {
  const contacts = conn.sobject("Contact");
  const made = await contacts.create({ LastName: "Curie" });
  const read = await contacts.retrieve(made.id);
  const updated = await contacts.update({ Id: made.id, LastName: "Sklodowska" });
  const after = await contacts.retrieve(made.id);
  const several = await contacts.create([{ LastName: "Noether" }, { LastName: "Germain" }, { FirstName: "Nobody" }]);
  const destroyed = await contacts.destroy(made.id);
  const invoices = conn.sobject("Invoice__c");
  const invoice = { External_Id__c: "A-1", Account__c: ORG_ACCOUNT };
  return {
    made: made.success,
    names: [read.LastName, after.LastName],
    done: [updated.success, destroyed.success],
    several: several.map((each) => (each.success ? "success" : each.errors[0].statusCode)),
    gone: await refusal(contacts.retrieve(made.id)),
    upserted: [
      (await invoices.upsert({ ...invoice }, "External_Id__c")).created,
      (await invoices.upsert({ ...invoice }, "External_Id__c")).created,
    ],
  };
}

async function changes() {
  const start = "2026-11-21T09:30:00Z";
  const end = "2026-11-21T10:40:00Z";
  const updated = await conn.sobject("Lead").updated(start, end);
  const deleted = await conn.sobject("Lead").deleted(start, end);
  return {
    updated: updated.ids.length,
    covered: updated.latestDateCovered,
    deleted: deleted.deletedRecords.map((each) => each.id),
  };
}

async function jobs() {
  const found = async (options) => (await conn.bulk2.query(LEADS, { pollInterval: 1, ...options })).toArray();
  const live = await found({});
  const all = await found({ scanAll: true });
  return {
    first: live[0],
    live: live.map((each) => each.Id),
    all: all.map((each) => each.Id),
    wrong: await refusal(conn.bulk2.query("SELECT Address FROM Lead")),
  };
}

async function limits() {
  const { DailyApiRequests } = await conn.limits();
  return { max: DailyApiRequests.Max, gauge: conn.limitInfo.apiUsage.limit };
}

const told = {
  logins: await logins(),
  queries: await queries(),
  descriptions: await descriptions(),
  changes: await changes(),
  jobs: await jobs(),
  records: await records(),
  limits: await limits(),
};
console.log(JSON.stringify(told));
