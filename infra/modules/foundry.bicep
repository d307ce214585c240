// Foundry resource with the deployment of the teacher. It accepts tokens of Entra ID and no keys.
// AVM: br/public:avm/res/cognitive-services/account

@description('Also the subdomain of the endpoint, so it must be free in all of Azure.')
param name string

param location string
param tags object
param logsId string

@allowed([
  'Enabled'
  'Disabled'
])
param publicNetworkAccess string = 'Disabled'

@allowed([
  'Allow'
  'Deny'
])
param defaultNetworkAction string = 'Deny'

@description('Deployment of the teacher: name, format, model, version, sku and capacity in thousands of tokens a minute.')
param teacher object

resource account 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'AIServices'
  sku: {
    name: 'S0'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    allowProjectManagement: true
    customSubDomainName: name
    disableLocalAuth: true
    publicNetworkAccess: publicNetworkAccess
    networkAcls: {
      defaultAction: defaultNetworkAction
      ipRules: []
      virtualNetworkRules: []
    }
    restrictOutboundNetworkAccess: true
    allowedFqdnList: []
  }
}

resource deployment 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = {
  parent: account
  name: teacher.deployment
  sku: {
    name: teacher.sku
    capacity: teacher.capacity
  }
  properties: {
    model: {
      format: teacher.format
      name: teacher.model
      version: teacher.version
    }
    // Another version of the teacher gives other answers than those that were bought.
    versionUpgradeOption: 'NoAutoUpgrade'
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: account
  properties: {
    workspaceId: logsId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output id string = account.id
output name string = account.name
output endpoint string = 'https://${name}.services.ai.azure.com/'
