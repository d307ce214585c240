// Monthly budget of the resource group. It only sends mail: Azure stops nothing.
// AVM: br/public:avm/res/consumption/budget/rg-scope

@minValue(1)
param amount int

param contactEmails array

@description('First day of the month of the first deployment, such as 2026-12-01. Azure refuses to change it later.')
param startDate string

resource budget 'Microsoft.Consumption/budgets@2023-11-01' = {
  name: 'monthly'
  properties: {
    category: 'Cost'
    timeGrain: 'Monthly'
    amount: amount
    timePeriod: {
      startDate: '${startDate}T00:00:00Z'
    }
    notifications: {
      actual80: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: contactEmails
      }
      forecast100: {
        enabled: true
        operator: 'GreaterThan'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: contactEmails
      }
    }
  }
}
