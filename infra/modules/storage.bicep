// Storage account of the workspace: no keys, no public blobs, TLS 1.2.
// AVM: br/public:avm/res/storage/storage-account

param name string
param location string
param tags object
param logsId string

@description('LRS or ZRS.')
param skuName string = 'Standard_ZRS'

@description('Deny: only private endpoints, Azure services and the ML registry reach the account.')
@allowed([
  'Allow'
  'Deny'
])
param defaultNetworkAction string = 'Deny'

@description('Id of the ML registry, which copies students that are shared with it.')
param mlRegistryId string

@minValue(7)
@maxValue(365)
param softDeleteDays int = 14

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    encryption: {
      keySource: 'Microsoft.Storage'
      requireInfrastructureEncryption: true
      services: {
        blob: {
          enabled: true
          keyType: 'Account'
        }
        file: {
          enabled: true
          keyType: 'Account'
        }
      }
    }
    // Sharing a model with a registry needs a rule for the registry, and rules need public network access.
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: defaultNetworkAction
      ipRules: []
      virtualNetworkRules: []
      resourceAccessRules: [
        {
          resourceId: mlRegistryId
          tenantId: tenant().tenantId
        }
      ]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: blobs
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
