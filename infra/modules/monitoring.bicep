// Log Analytics workspace, and Application Insights that stores its data there.
// AVM: br/public:avm/res/operational-insights/workspace, br/public:avm/res/insights/component

@description('Prefix of the names.')
param prefix string

param location string
param tags object

@minValue(30)
@maxValue(730)
param retentionDays int

@description('Gigabytes a day after which no more logs are stored, -1 for no limit.')
param dailyQuotaGb int

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${prefix}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retentionDays
    features: {
      enableLogAccessUsingOnlyResourcePermissions: true
    }
    workspaceCapping: {
      dailyQuotaGb: dailyQuotaGb
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${prefix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    RetentionInDays: 90
  }
}

output logsId string = logs.id
output insightsId string = insights.id
output insightsName string = insights.name
