// Once, in a resource group of its own: the ML registry that the environments share, with components, environments, and
// the students that are promoted. Deploy with `az deployment group create`.
// AVM: br/public:avm/res/machine-learning-services/registry

targetScope = 'resourceGroup'

@description('Name of the ML registry: mlRegistryName of main.bicep.')
@minLength(3)
@maxLength(33)
param name string = 'distillation'

param location string = resourceGroup().location

param tags object = {
  project: 'distillation'
}

resource registry 'Microsoft.MachineLearningServices/registries@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'registry'
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    publicNetworkAccess: 'Enabled'
    regionDetails: [
      {
        location: location
        storageAccountDetails: [
          {
            systemCreatedStorageAccount: {
              allowBlobPublicAccess: false
              storageAccountHnsEnabled: false
              storageAccountName: 'st${uniqueString(resourceGroup().id, name)}'
              storageAccountType: 'Standard_ZRS'
            }
          }
        ]
        acrDetails: [
          {
            systemCreatedAcrAccount: {
              acrAccountName: 'cr${uniqueString(resourceGroup().id, name)}'
              acrAccountSku: 'Premium'
            }
          }
        ]
      }
    ]
  }
}

output name string = registry.name
