// Role assignments of one principal on the resources that the workspace uses, and on the resource group.
// The table of all assignments is azdistill/azure/roles.json.
// AVM: br/public:avm/ptn/authorization/resource-role-assignment

@description('Name of the principal in the table.')
param principal string

@description('Object id of the principal.')
param principalId string

@allowed([
  'Group'
  'ServicePrincipal'
])
param principalType string

@description('Names of the resources, by their scope in the table.')
param names object

var table = loadJsonContent('../../azdistill/azure/roles.json')

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' existing = {
  name: names.storage
}

resource keyVault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: names.keyVault
}

resource containerRegistry 'Microsoft.ContainerRegistry/registries@2025-04-01' existing = {
  name: names.containerRegistry
}

resource applicationInsights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: names.applicationInsights
}

resource foundry 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: names.foundry
}

resource servingIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: names.servingIdentity
}

resource onStorage 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'storage') {
  name: guid(storage.id, principalId, table.roles[item.role].id)
  scope: storage
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onKeyVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'keyVault') {
  name: guid(keyVault.id, principalId, table.roles[item.role].id)
  scope: keyVault
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onContainerRegistry 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'containerRegistry') {
  name: guid(containerRegistry.id, principalId, table.roles[item.role].id)
  scope: containerRegistry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onApplicationInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'applicationInsights') {
  name: guid(applicationInsights.id, principalId, table.roles[item.role].id)
  scope: applicationInsights
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onFoundry 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'foundry') {
  name: guid(foundry.id, principalId, table.roles[item.role].id)
  scope: foundry
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onServingIdentity 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'servingIdentity') {
  name: guid(servingIdentity.id, principalId, table.roles[item.role].id)
  scope: servingIdentity
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]

resource onResourceGroup 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'resourceGroup') {
  name: guid(resourceGroup().id, principalId, table.roles[item.role].id)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]
