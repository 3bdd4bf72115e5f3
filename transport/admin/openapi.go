package admin

import (
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

const tag = "Operators"

type setupStatus struct {
	HasAdmin   bool `json:"has_admin"`
	NeedsSetup bool `json:"needs_setup"`
}

type setupBody struct {
	Email      string `json:"email" format:"email"`
	Password   string `json:"password" format:"password"`
	Name       string `json:"name,omitempty"`
	SetupToken string `json:"setup_token" doc:"The one that the server printed at its start"`
}

type loginBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password" format:"password"`
}

type refreshBody struct {
	RefreshToken string `json:"refresh_token"`
}

type done struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

// me is who asks, as the token says.
type me struct {
	User identified `json:"user"`
}

type identified struct {
	ID    string `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
}

var (
	statusDoc = route.Doc{
		Tag: tag, Summary: "Tell whether the installation has an administrator", Answers: route.Answers{200: setupStatus{}},
	}
	setupDoc = route.Doc{
		Tag: tag, Summary: "Make the first administrator", Body: setupBody{}, Answers: route.Answers{201: tokens{}},
		Faults: []fault.Code{fault.InvalidSetupToken, fault.SetupDisabled, fault.SetupAlreadyCompleted, fault.ValidationFailed},
	}
	loginDoc = route.Doc{
		Tag: tag, Summary: "Sign in as an operator", Body: loginBody{}, Answers: route.Answers{200: tokens{}},
		Faults: []fault.Code{fault.InvalidCredentials, fault.AccountLocked, fault.AdminRequired},
	}
	refreshDoc = route.Doc{
		Tag: tag, Summary: "Change an operator's refresh token for a new pair of tokens", Body: refreshBody{},
		Answers: route.Answers{200: tokens{}}, Faults: []fault.Code{fault.InvalidToken},
	}
	logoutDoc = route.Doc{
		Tag: tag, Summary: "End the session", Answers: route.Answers{200: done{}},
	}
	meDoc = route.Doc{
		Tag: tag, Summary: "Tell who is signed in", Answers: route.Answers{200: me{}},
	}
)
