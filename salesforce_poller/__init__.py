"""salesforce-poller: watches Salesforce orgs and tells other software what changed."""
