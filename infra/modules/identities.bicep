// User-assigned identities, and the federated credentials with which GitHub environments authenticate.
// AVM: br/public:avm/res/managed-identity/user-assigned-identity

@description('Prefix of the names.')
param prefix string

param location string
param tags object

@description('GitHub environments: name, subject of the OIDC token, principal of azdistill/azure/roles.json (cd or infra).')
param githubEnvironments array

param githubIssuer string

@description('Identities of other environments that deploy students trained here: environment (unique), id (object id).')
param deployers array

resource workspaceIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${prefix}-workspace'
  location: location
  tags: tags
}

resource jobsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${prefix}-jobs'
  location: location
  tags: tags
}

resource buildsIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${prefix}-builds'
  location: location
  tags: tags
}

resource servingIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${prefix}-serving'
  location: location
  tags: tags
}

resource githubIdentities 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = [for environment in githubEnvironments: {
  name: 'id-${prefix}-github-${environment.name}'
  location: location
  tags: tags
}]

resource githubCredentials 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = [for (environment, index) in githubEnvironments: {
  parent: githubIdentities[index]
  name: 'github-${environment.name}'
  properties: {
    issuer: githubIssuer
    subject: environment.subject
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}]

output workspaceId string = workspaceIdentity.id
output jobsId string = jobsIdentity.id
output jobsClientId string = jobsIdentity.properties.clientId
output buildsId string = buildsIdentity.id
output servingId string = servingIdentity.id
output servingName string = servingIdentity.name

@description('Principals of role assignments: name in azdistill/azure/roles.json, label (unique), id (object id), type.')
output principals array = [
  {
    name: 'workspace'
    label: 'workspace'
    id: workspaceIdentity.properties.principalId
    type: 'ServicePrincipal'
  }
  {
    name: 'jobs'
    label: 'jobs'
    id: jobsIdentity.properties.principalId
    type: 'ServicePrincipal'
  }
  {
    name: 'builds'
    label: 'builds'
    id: buildsIdentity.properties.principalId
    type: 'ServicePrincipal'
  }
  {
    name: 'serving'
    label: 'serving'
    id: servingIdentity.properties.principalId
    type: 'ServicePrincipal'
  }
]

@description('The same of the GitHub environments.')
output githubPrincipals array = [for (environment, index) in githubEnvironments: {
  name: environment.principal
  label: environment.name
  id: githubIdentities[index].properties.principalId
  type: 'ServicePrincipal'
}]

@description('The same of the identities of other environments.')
output deployers array = [for deployer in deployers: {
  name: 'deployer'
  label: 'deployer-${deployer.environment}'
  id: deployer.id
  type: 'ServicePrincipal'
}]

@description('Value of AZURE_CLIENT_ID in each GitHub environment.')
output githubClientIds array = [for (environment, index) in githubEnvironments: {
  environment: environment.name
  clientId: githubIdentities[index].properties.clientId
}]
