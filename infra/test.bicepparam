using 'main.bicep'

// Where the students that may ship are trained and measured.
param environmentName = 'test'
param publicNetworkAccess = 'Enabled'
param reachesRegistries = true
param firewallSku = 'Basic'

// The subject is that of your organisation's OIDC tokens: infra/README.md, "GitHub".
param githubEnvironments = [
  {
    name: 'test'
    subject: 'repo:OWNER/REPOSITORY:environment:test'
    principal: 'cd'
  }
  {
    name: 'test-infra'
    subject: 'repo:OWNER/REPOSITORY:environment:test-infra'
    principal: 'infra'
  }
]

param budgetAmount = 2000
param budgetEmails = [
  'ml-team@example.com'
]
param budgetStartDate = '2026-12-01'
