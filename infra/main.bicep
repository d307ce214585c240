// One environment in a resource group: workspace, teacher, clusters, identities, roles. It uses the ML registry of
// shared.bicep and the policy definition of subscription.bicep, which are deployed once and before it.
// Deploy with `az deployment group create`; infra/README.md has the commands.

targetScope = 'resourceGroup'

@description('Name of the project, a part of all names.')
@minLength(3)
@maxLength(16)
param project string = 'distillation'

@description('Name of the environment, a part of all names.')
@maxLength(6)
param environmentName string

param location string = resourceGroup().location

param tags object = {
  project: project
  environment: environmentName
}

// Network

@description('Disabled: the resources are reached by private endpoints only, so privateEndpointSubnetId is needed.')
@allowed([
  'Enabled'
  'Disabled'
])
param publicNetworkAccess string = 'Disabled'

@description('Id of an existing subnet for private endpoints. Empty: none are created.')
param privateEndpointSubnetId string = ''

@description('Ids of private DNS zones, a list for each of amlworkspace, blob, file, vault, registry, account.')
param privateDnsZoneIds object = {
  amlworkspace: []
  blob: []
  file: []
  vault: []
  registry: []
  account: []
}

@allowed([
  'Basic'
  'Standard'
])
param firewallSku string = 'Standard'

@description('Jobs may read from ML registries, Microsoft\'s own too: needed to train, a way out for data.')
param reachesRegistries bool = false

@description('More outbound rules of the managed network, by name.')
param additionalOutboundRules object = {}

// Identities

@description('GitHub environments that authenticate: name, subject of the OIDC token, principal (cd or infra).')
param githubEnvironments array = []

param githubIssuer string = 'https://token.actions.githubusercontent.com'

@description('Identities of other environments that deploy students trained here: environment (unique), id (object id).')
param deployers array = []

@description('Object id of the Entra group of the people who submit jobs. Empty: nobody.')
param usersGroupId string = ''

// Teacher

@description('Name of the connection in the workspace: teacher.teachers[].connection of a job.')
param connectionName string = 'deepseek-v3'

@description('Deployment of the teacher. The name of the deployment is teacher.teachers[].model of a job.')
param teacher object = {
  deployment: 'DeepSeek-V3.2'
  format: 'DeepSeek'
  model: 'DeepSeek-V3.2'
  version: '1'
  sku: 'GlobalStandard'
  capacity: 100
}

// Compute

@description('Clusters: name, VM size, priority, most nodes. compute.cpu and compute.gpu of a job name them.')
param clusters array = [
  {
    name: 'cpu-cluster'
    vmSize: 'Standard_E4s_v3'
    vmPriority: 'Dedicated'
    maxNodes: 4
  }
  {
    name: 'gpu-cluster'
    vmSize: 'Standard_NC24ads_A100_v4'
    vmPriority: 'Dedicated'
    maxNodes: 2
  }
  {
    name: 'gpu-spot'
    vmSize: 'Standard_NC24ads_A100_v4'
    vmPriority: 'LowPriority'
    maxNodes: 2
  }
]

param imageBuildVmSize string = 'Standard_E4s_v3'

@description('VM sizes that clusters and online deployments may have.')
param allowedVmSizes array = [
  'Standard_E4s_v3'
  'Standard_NC24ads_A100_v4'
]

@description('Assign the policy that subscription.bicep defines.')
param assignVmSizePolicy bool = true

// Registry

@description('Name of the ML registry that the environments share.')
@minLength(3)
@maxLength(33)
param mlRegistryName string = project

@description('Resource group of the ML registry.')
param mlRegistryGroup string = '${project}-shared'

// Cost, data and logs

@description('Monthly budget in the currency of the subscription.')
@minValue(1)
param budgetAmount int

param budgetEmails array

@description('First day of the month of the first deployment, such as 2026-12-01.')
param budgetStartDate string

@description('Days after which checkpoints of trainings are deleted.')
param checkpointDays int = 14

param logRetentionDays int = 90

@description('Gigabytes of logs a day, -1 for no limit.')
param logDailyQuotaGb int = 5

@description('Storage and container registry in three zones of the region.')
param zoneRedundant bool = true

var prefix = '${project}-${environmentName}'
var suffix = uniqueString(resourceGroup().id, project, environmentName)
var workspaceName = 'mlw-${prefix}'
var imageBuildCompute = 'image-build'
var defaultNetworkAction = publicNetworkAccess == 'Enabled' ? 'Allow' : 'Deny'
var mlRegistryId = resourceId(mlRegistryGroup, 'Microsoft.MachineLearningServices/registries', mlRegistryName)
var users = empty(usersGroupId) ? [] : [
  {
    name: 'users'
    label: 'users'
    id: usersGroupId
    type: 'Group'
  }
]
module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    prefix: prefix
    location: location
    tags: tags
    githubEnvironments: githubEnvironments
    githubIssuer: githubIssuer
    deployers: deployers
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    prefix: prefix
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyQuotaGb: logDailyQuotaGb
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    name: 'st${suffix}'
    location: location
    tags: tags
    logsId: monitoring.outputs.logsId
    skuName: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS'
    defaultNetworkAction: defaultNetworkAction
    mlRegistryId: mlRegistryId
  }
}

module keyVault 'modules/key-vault.bicep' = {
  name: 'key-vault'
  params: {
    name: 'kv-${suffix}'
    location: location
    tags: tags
    logsId: monitoring.outputs.logsId
    publicNetworkAccess: publicNetworkAccess
    defaultNetworkAction: defaultNetworkAction
  }
}

module containerRegistry 'modules/container-registry.bicep' = {
  name: 'container-registry'
  params: {
    name: 'cr${suffix}'
    location: location
    tags: tags
    logsId: monitoring.outputs.logsId
    publicNetworkAccess: publicNetworkAccess
    zoneRedundancy: zoneRedundant ? 'Enabled' : 'Disabled'
  }
}

module foundry 'modules/foundry.bicep' = {
  name: 'foundry'
  params: {
    name: 'aif-${project}-${environmentName}-${suffix}'
    location: location
    tags: tags
    logsId: monitoring.outputs.logsId
    publicNetworkAccess: publicNetworkAccess
    defaultNetworkAction: defaultNetworkAction
    teacher: teacher
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    principals: concat(identities.outputs.principals, identities.outputs.githubPrincipals, identities.outputs.deployers, users)
    names: {
      storage: storage.outputs.name
      keyVault: keyVault.outputs.name
      containerRegistry: containerRegistry.outputs.name
      applicationInsights: monitoring.outputs.insightsName
      foundry: foundry.outputs.name
      servingIdentity: identities.outputs.servingName
    }
  }
}

module workspace 'modules/workspace.bicep' = {
  name: 'workspace'
  params: {
    name: workspaceName
    location: location
    tags: tags
    logsId: monitoring.outputs.logsId
    storageId: storage.outputs.id
    keyVaultId: keyVault.outputs.id
    containerRegistryId: containerRegistry.outputs.id
    applicationInsightsId: monitoring.outputs.insightsId
    workspaceIdentityId: identities.outputs.workspaceId
    jobsIdentityId: identities.outputs.jobsId
    imageBuildCompute: imageBuildCompute
    publicNetworkAccess: publicNetworkAccess
    firewallSku: firewallSku
    foundryId: foundry.outputs.id
    foundryEndpoint: foundry.outputs.endpoint
    connectionName: connectionName
    reachesRegistries: reachesRegistries
    additionalOutboundRules: additionalOutboundRules
  }
  dependsOn: [
    roles
  ]
}

module lifecycle 'modules/storage-lifecycle.bicep' = {
  name: 'storage-lifecycle'
  params: {
    storageName: storage.outputs.name
    workspaceGuid: workspace.outputs.guid
    checkpointDays: checkpointDays
  }
}

module rolesAfterWorkspace 'modules/roles-after-workspace.bicep' = {
  name: 'roles-after-workspace'
  params: {
    principals: concat(identities.outputs.principals, identities.outputs.githubPrincipals, identities.outputs.deployers, users)
    workspaceName: workspace.outputs.name
    registryName: mlRegistryName
    registryGroup: mlRegistryGroup
  }
}

module imageBuildCluster 'modules/cluster.bicep' = {
  name: 'cluster-image-build'
  params: {
    workspaceName: workspace.outputs.name
    name: imageBuildCompute
    location: location
    tags: tags
    vmSize: imageBuildVmSize
    maxNodes: 1
    identityId: identities.outputs.buildsId
  }
  dependsOn: [
    roles
    rolesAfterWorkspace
    vmSizeAssignment
  ]
}

@batchSize(1)
module computeClusters 'modules/cluster.bicep' = [for cluster in clusters: {
  name: 'cluster-${cluster.name}'
  params: {
    workspaceName: workspace.outputs.name
    name: cluster.name
    location: location
    tags: tags
    vmSize: cluster.vmSize
    vmPriority: cluster.vmPriority
    maxNodes: cluster.maxNodes
    identityId: identities.outputs.jobsId
  }
  dependsOn: [
    imageBuildCluster
  ]
}]

// Private endpoints for people and runners in your network. The managed network has its own.
module privateEndpoints 'modules/private-endpoints.bicep' = if (!empty(privateEndpointSubnetId)) {
  name: 'private-endpoints'
  params: {
    prefix: prefix
    location: location
    tags: tags
    subnetId: privateEndpointSubnetId
    targets: [
      {
        groupId: 'amlworkspace'
        targetId: workspace.outputs.id
        dnsZoneIds: privateDnsZoneIds.amlworkspace
      }
      {
        groupId: 'blob'
        targetId: storage.outputs.id
        dnsZoneIds: privateDnsZoneIds.blob
      }
      {
        groupId: 'file'
        targetId: storage.outputs.id
        dnsZoneIds: privateDnsZoneIds.file
      }
      {
        groupId: 'vault'
        targetId: keyVault.outputs.id
        dnsZoneIds: privateDnsZoneIds.vault
      }
      {
        groupId: 'registry'
        targetId: containerRegistry.outputs.id
        dnsZoneIds: privateDnsZoneIds.registry
      }
      {
        groupId: 'account'
        targetId: foundry.outputs.id
        dnsZoneIds: privateDnsZoneIds.account
      }
    ]
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    amount: budgetAmount
    contactEmails: budgetEmails
    startDate: budgetStartDate
  }
}

module vmSizeAssignment 'modules/vm-size-assignment.bicep' = if (assignVmSizePolicy) {
  name: 'vm-size-assignment'
  params: {
    definitionId: subscriptionResourceId('Microsoft.Authorization/policyDefinitions', 'azdistill-allowed-vm-sizes')
    allowedSizes: allowedVmSizes
  }
}

output workspaceName string = workspace.outputs.name
output connectionName string = connectionName
output teacherDeployment string = teacher.deployment
output foundryEndpoint string = foundry.outputs.endpoint
output mlRegistryName string = mlRegistryName
output jobsClientId string = identities.outputs.jobsClientId
output servingIdentityId string = identities.outputs.servingId
output githubClientIds array = identities.outputs.githubClientIds
