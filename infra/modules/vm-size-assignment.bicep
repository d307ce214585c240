// Assignment of the policy for VM sizes to the resource group.
// AVM: br/public:avm/res/authorization/policy-assignment/rg-scope

param definitionId string
param allowedSizes array

resource assignment 'Microsoft.Authorization/policyAssignments@2025-03-01' = {
  name: 'allowed-vm-sizes'
  properties: {
    displayName: 'Azure ML: allowed VM sizes'
    policyDefinitionId: definitionId
    enforcementMode: 'Default'
    parameters: {
      allowedSizes: {
        value: allowedSizes
      }
    }
    nonComplianceMessages: [
      {
        message: 'This VM size is not allowed here: add it to allowedVmSizes in infra/*.bicepparam.'
      }
    ]
  }
}
