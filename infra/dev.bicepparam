using 'main.bicep'

// Where jobs are written and tried. Reachable from the internet, with Entra ID only.
param environmentName = 'dev'
param publicNetworkAccess = 'Enabled'
param reachesRegistries = true
param firewallSku = 'Basic'
param zoneRedundant = false
param logRetentionDays = 30

// The subject is that of your organisation's OIDC tokens: infra/README.md, "GitHub".
param githubEnvironments = [
  {
    name: 'dev'
    subject: 'repo:OWNER/REPOSITORY:environment:dev'
    principal: 'cd'
  }
  {
    name: 'dev-infra'
    subject: 'repo:OWNER/REPOSITORY:environment:dev-infra'
    principal: 'infra'
  }
]

// Fill in after test and prod are deployed, and deploy dev again: infra/README.md, "Promotion".
//   {environment: 'test', id: 'OBJECT ID'}
param deployers = []

param budgetAmount = 500
param budgetEmails = [
  'ml-team@example.com'
]
param budgetStartDate = '2026-12-01'
