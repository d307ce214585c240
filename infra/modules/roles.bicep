// Role assignments of all principals on the resources that the workspace uses. They come before the workspace, whose own
// identity needs some of them when it is created.

@description('Principals: name in azdistill/azure/roles.json, label (unique), id (object id), type.')
param principals array

@description('Names of the resources, by their scope in the table.')
param names object

module assignments 'roles-of-principal.bicep' = [for principal in principals: if(principal.name != 'infra') {
  name: 'roles-${principal.label}'
  params: {
    principal: principal.name
    principalId: principal.id
    principalType: principal.type
    names: names
  }
}]
