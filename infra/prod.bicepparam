using 'main.bicep'

// Where students are served. Not reachable from the internet: people and runners are in the network of the subnet.
// Nothing is trained here, so jobs reach no ML registry; set reachesRegistries if that changes.
param environmentName = 'prod'
param publicNetworkAccess = 'Disabled'
param reachesRegistries = false
param logRetentionDays = 365

param privateEndpointSubnetId = '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/virtualNetworks/VNET/subnets/SUBNET'

// Private DNS zones that are linked to that network. An empty list where a policy of yours writes the records.
param privateDnsZoneIds = {
  amlworkspace: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.api.azureml.ms'
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.notebooks.azure.net'
  ]
  blob: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.blob.core.windows.net'
  ]
  file: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.file.core.windows.net'
  ]
  vault: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.vaultcore.azure.net'
  ]
  registry: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.azurecr.io'
  ]
  account: [
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.cognitiveservices.azure.com'
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.openai.azure.com'
    '/subscriptions/SUBSCRIPTION/resourceGroups/NETWORK/providers/Microsoft.Network/privateDnsZones/privatelink.services.ai.azure.com'
  ]
}

// The subject is that of your organisation's OIDC tokens: infra/README.md, "GitHub".
param githubEnvironments = [
  {
    name: 'prod'
    subject: 'repo:OWNER/REPOSITORY:environment:prod'
    principal: 'cd'
  }
  {
    name: 'prod-infra'
    subject: 'repo:OWNER/REPOSITORY:environment:prod-infra'
    principal: 'infra'
  }
]

param budgetAmount = 5000
param budgetEmails = [
  'ml-team@example.com'
]
param budgetStartDate = '2026-12-01'
