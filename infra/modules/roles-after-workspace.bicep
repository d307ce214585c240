// Role assignments of all principals on the workspace and on the ML registry.

@description('Principals: name in azdistill/azure/roles.json, label (unique), id (object id), type.')
param principals array

param workspaceName string
param registryName string

@description('Resource group of the ML registry.')
param registryGroup string

module onWorkspace 'roles-on-workspace.bicep' = [for principal in principals: if(principal.name != 'infra') {
  name: 'roles-on-workspace-${principal.label}'
  params: {
    principal: principal.name
    principalId: principal.id
    principalType: principal.type
    workspaceName: workspaceName
  }
}]

module onRegistry 'roles-on-registry.bicep' = [for principal in principals: if(principal.name != 'infra') {
  name: 'roles-on-registry-${principal.label}-${workspaceName}'
  scope: resourceGroup(registryGroup)
  params: {
    principal: principal.name
    principalId: principal.id
    principalType: principal.type
    registryName: registryName
  }
}]
