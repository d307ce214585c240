// Private endpoints in a subnet of yours, with their records in private DNS zones of yours.
// AVM: br/public:avm/res/network/private-endpoint

@description('Prefix of the names.')
param prefix string

param location string
param tags object
param subnetId string

@description('Resources to reach: groupId (the sub-resource, such as blob), targetId, dnsZoneIds (none: your policy writes the records).')
param targets array

// One after another: the endpoints of one storage account cannot be created at the same time.
@batchSize(1)
resource endpoints 'Microsoft.Network/privateEndpoints@2024-10-01' = [for target in targets: {
  name: 'pep-${prefix}-${target.groupId}'
  location: location
  tags: tags
  properties: {
    subnet: {
      id: subnetId
    }
    privateLinkServiceConnections: [
      {
        name: target.groupId
        properties: {
          privateLinkServiceId: target.targetId
          groupIds: [
            target.groupId
          ]
        }
      }
    ]
  }
}]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-10-01' = [for (target, index) in targets: if(!empty(target.dnsZoneIds)) {
  parent: endpoints[index]
  name: 'default'
  properties: {
    privateDnsZoneConfigs: [for zoneId in target.dnsZoneIds: {
      name: replace(last(split(zoneId, '/')), '.', '-')
      properties: {
        privateDnsZoneId: zoneId
      }
    }]
  }
}]
