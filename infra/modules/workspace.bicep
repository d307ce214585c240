// Azure ML workspace in a managed network, and its connection to the teacher.
// AVM: br/public:avm/res/machine-learning-services/workspace

param name string
param location string
param tags object
param logsId string
param storageId string
param keyVaultId string
param containerRegistryId string
param applicationInsightsId string

@description('Id of the identity of the workspace itself.')
param workspaceIdentityId string

@description('Id of the identity of the jobs, for serverless compute.')
param jobsIdentityId string

@description('Cluster that builds the images of environments: a private registry does not build them.')
param imageBuildCompute string

@allowed([
  'Enabled'
  'Disabled'
])
param publicNetworkAccess string = 'Disabled'

@description('Tier of the firewall that the FQDN rules create.')
@allowed([
  'Basic'
  'Standard'
])
param firewallSku string = 'Standard'

param foundryId string
param foundryEndpoint string
param connectionName string

@description('Allow the storage and container registries of all ML registries of the region, Microsoft\'s own too.')
param reachesRegistries bool = false

@description('More outbound rules, by name: properties as in managedNetwork.outboundRules.')
param additionalOutboundRules object = {}

// Hosts that the image builds and the steps need.
var packageRules = {
  'mcr': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: 'mcr.microsoft.com'
  }
  'mcr-data': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: '*.data.mcr.microsoft.com'
  }
  'conda-forge': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: '*.anaconda.org'
  }
  'pypi': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: 'pypi.org'
  }
  'pypi-files': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: '*.pythonhosted.org'
  }
  'pytorch': {
    type: 'FQDN'
    category: 'UserDefined'
    destination: '*.pytorch.org'
  }
}

var teacherRules = {
  'teacher': {
    type: 'PrivateEndpoint'
    category: 'UserDefined'
    destination: {
      serviceResourceId: foundryId
      subresourceTarget: 'account'
      sparkEnabled: false
    }
  }
}

// The tag Storage allows every storage account of the region: data could leave by it.
var registryRules = {
  'registry-storage': {
    type: 'ServiceTag'
    category: 'UserDefined'
    destination: {
      serviceTag: 'Storage.${location}'
      protocol: 'TCP'
      portRanges: '443'
    }
  }
  'registry-images': {
    type: 'ServiceTag'
    category: 'UserDefined'
    destination: {
      serviceTag: 'AzureContainerRegistry.${location}'
      protocol: 'TCP'
      portRanges: '443'
    }
  }
}

var defaultRules = union(packageRules, teacherRules, reachesRegistries ? registryRules : {})

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'Default'
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${workspaceIdentityId}': {}
      '${jobsIdentityId}': {}
    }
  }
  properties: {
    friendlyName: name
    storageAccount: storageId
    keyVault: keyVaultId
    containerRegistry: containerRegistryId
    applicationInsights: applicationInsightsId
    primaryUserAssignedIdentity: workspaceIdentityId
    systemDatastoresAuthMode: 'Identity'
    imageBuildCompute: imageBuildCompute
    publicNetworkAccess: publicNetworkAccess
    provisionNetworkNow: true
    managedNetwork: {
      isolationMode: 'AllowOnlyApprovedOutbound'
      firewallSku: firewallSku
      outboundRules: union(defaultRules, additionalOutboundRules)
    }
    v1LegacyMode: false
  }
}

resource connection 'Microsoft.MachineLearningServices/workspaces/connections@2025-06-01' = {
  parent: workspace
  name: connectionName
  properties: {
    category: 'AIServices'
    authType: 'AAD'
    target: foundryEndpoint
    isSharedToAll: true
    metadata: {
      ApiType: 'Azure'
      ResourceId: foundryId
    }
  }
}

resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'to-log-analytics'
  scope: workspace
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

output id string = workspace.id
output name string = workspace.name
output guid string = workspace.properties.workspaceId
