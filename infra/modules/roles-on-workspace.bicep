// Role assignments of one principal on the workspace.
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

param workspaceName string

var table = loadJsonContent('../../azdistill/azure/roles.json')

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource onWorkspace 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for item in table.assignments: if(item.principal == principal && item.scope == 'workspace') {
  name: guid(workspace.id, principalId, table.roles[item.role].id)
  scope: workspace
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', table.roles[item.role].id)
    principalId: principalId
    principalType: principalType
    description: item.why
  }
}]
