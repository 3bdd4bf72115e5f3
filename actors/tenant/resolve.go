package tenant

import (
	"strings"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/tenancy"
)

// snapshot is the list of tenants, ready to be looked things up in.
type snapshot struct {
	byID, bySlug map[string]*Info
	standard     *Info // the default tenant
}

func newSnapshot(all []tenancy.Entry) *snapshot {
	s := &snapshot{byID: make(map[string]*Info, len(all)), bySlug: make(map[string]*Info, len(all))}
	for i := range all {
		t := &all[i]
		s.byID[t.ID] = t
		s.bySlug[t.Slug] = t
		if t.Default {
			s.standard = t
		}
	}
	return s
}

// find is the rule of tenant resolution. The credential's binding is the truth;
// a header may only repeat it. Without a binding the header chooses, by id or
// slug, for those who may choose.
func (s *snapshot) find(c caller.Caller, header string) (*Info, error) {
	named := strings.TrimSpace(header)
	var t *Info
	switch {
	case named != "":
		t = s.named(named)
	case c.BoundTenant != "":
		t = s.byID[strings.ToLower(c.BoundTenant)]
	default:
		t = s.standard
	}
	if t == nil {
		return nil, fault.New(fault.TenantNotFound, "tenant not found")
	}
	if !mayEnter(c, t) {
		return nil, fault.New(fault.AccessDenied, "access denied to this tenant")
	}
	switch t.Status {
	case tenancy.Active:
		return t, nil
	case tenancy.Deleting:
		return nil, fault.New(fault.TenantNotFound, "tenant not found")
	default:
		return nil, fault.New(fault.ServiceUnavailable, "the tenant is not ready").WithDetails(map[string]string{"status": string(t.Status)})
	}
}

func (s *snapshot) named(name string) *Info {
	if t := s.byID[strings.ToLower(name)]; t != nil {
		return t
	}
	return s.bySlug[name]
}

// mayEnter tells whether c may act in t.
func mayEnter(c caller.Caller, t *Info) bool {
	if c.BoundTenant != "" {
		return strings.EqualFold(c.BoundTenant, t.ID)
	}
	switch c.Role {
	case "", caller.Anon, caller.Service, caller.InstanceAdmin:
		return true
	default:
		// A user's token that names no tenant is of the default one.
		return t.Default
	}
}
