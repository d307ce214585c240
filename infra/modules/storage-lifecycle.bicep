// Deletion of old checkpoints. The answers of teachers in azdistill/store are never deleted: they were paid for.
// AVM: br/public:avm/res/storage/storage-account, managementPolicyRules

param storageName string

@description('Id of the workspace, which is part of the name of its default container.')
param workspaceGuid string

@description('A training that is continued after so many days starts from the beginning.')
@minValue(2)
@maxValue(365)
param checkpointDays int

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: storageName
}

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2025-01-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'delete-old-checkpoints'
          enabled: true
          type: 'Lifecycle'
          definition: {
            actions: {
              baseBlob: {
                delete: {
                  daysAfterModificationGreaterThan: checkpointDays
                }
              }
            }
            filters: {
              blobTypes: [
                'blockBlob'
                'appendBlob'
              ]
              prefixMatch: [
                'azureml-blobstore-${workspaceGuid}/azdistill/checkpoints/'
              ]
            }
          }
        }
      ]
    }
  }
}
