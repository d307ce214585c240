// Compute cluster that scales from zero nodes, with a user-assigned identity, without public addresses and SSH.
// AVM: br/public:avm/res/machine-learning-services/workspace, computes

param workspaceName string

@minLength(2)
@maxLength(16)
param name string

param location string
param tags object
param vmSize string

@description('LowPriority: spot VMs, which Azure may take away.')
@allowed([
  'Dedicated'
  'LowPriority'
])
param vmPriority string = 'Dedicated'

@minValue(1)
param maxNodes int

param identityId string

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  parent: workspace
  name: name
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    computeLocation: location
    disableLocalAuth: true
    properties: {
      vmSize: vmSize
      vmPriority: vmPriority
      osType: 'Linux'
      enableNodePublicIp: false
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: maxNodes
        nodeIdleTimeBeforeScaleDown: 'PT5M'
      }
    }
  }
}
