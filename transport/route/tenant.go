package route

// Tenant is where a request goes.
type Tenant struct{ ID, Slug string }
