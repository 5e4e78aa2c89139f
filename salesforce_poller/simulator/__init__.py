"""A small Salesforce over HTTP to practise on. It meets the rest of the house only over HTTP."""
