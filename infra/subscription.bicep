// Once per subscription: the definition of the policy for VM sizes of Azure ML clusters, compute instances and online
// deployments, which main.bicep assigns. Azure's own policy for allowed sizes looks at virtual machines only, which
// Azure ML does not create in the subscription. Deploy with `az deployment sub create`.
// AVM: no module for policy definitions

targetScope = 'subscription'

resource definition 'Microsoft.Authorization/policyDefinitions@2025-03-01' = {
  name: 'azdistill-allowed-vm-sizes'
  properties: {
    displayName: 'Azure ML: allowed VM sizes'
    description: 'Clusters, compute instances and online deployments of Azure ML have one of the allowed VM sizes.'
    policyType: 'Custom'
    mode: 'All'
    metadata: {
      category: 'Machine Learning'
    }
    parameters: {
      allowedSizes: {
        type: 'Array'
        metadata: {
          displayName: 'Allowed VM sizes'
        }
      }
    }
    policyRule: {
      if: {
        anyOf: [
          {
            allOf: [
              {
                field: 'type'
                equals: 'Microsoft.MachineLearningServices/workspaces/computes'
              }
              {
                field: 'Microsoft.MachineLearningServices/workspaces/computes/computeType'
                in: [
                  'AmlCompute'
                  'ComputeInstance'
                ]
              }
              {
                field: 'Microsoft.MachineLearningServices/workspaces/computes/vmSize'
                notIn: '[parameters(\'allowedSizes\')]'
              }
            ]
          }
          {
            allOf: [
              {
                field: 'type'
                equals: 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments'
              }
              {
                field: 'Microsoft.MachineLearningServices/workspaces/onlineEndpoints/deployments/instanceType'
                notIn: '[parameters(\'allowedSizes\')]'
              }
            ]
          }
        ]
      }
      then: {
        effect: 'deny'
      }
    }
  }
}

output id string = definition.id
