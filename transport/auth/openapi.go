package auth

import (
	"encoding/json"

	"fluxbase/actors/identity"
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Users"

type signUpBody struct {
	Email        string          `json:"email" format:"email"`
	Password     string          `json:"password" format:"password"`
	UserMetadata json.RawMessage `json:"user_metadata,omitempty" doc:"An object of the user's own"`
}

type signInBody struct {
	Email    string `json:"email" format:"email"`
	Password string `json:"password" format:"password"`
}

type refreshBody struct {
	RefreshToken string `json:"refresh_token,omitempty" doc:"Without it the cookie counts"`
}

type signOutBody struct {
	Scope identity.Scope `json:"scope,omitempty" enum:"local,global,others"`
}

type updateUserBody struct {
	Email           *string         `json:"email,omitempty" format:"email"`
	Password        *string         `json:"password,omitempty" format:"password"`
	CurrentPassword string          `json:"current_password,omitempty" format:"password" doc:"To change the address or the password without having signed in just now"`
	UserMetadata    json.RawMessage `json:"user_metadata,omitempty" doc:"An object that is merged into the one before; null removes a member"`
}

var (
	configDoc = route.Doc{
		Tag: tag, Summary: "Tell what a sign-in page offers", Answers: route.Answers{200: configuration{}},
	}
	signUpDoc = route.Doc{
		Tag: tag, Summary: "Make an account and sign in", Body: signUpBody{}, Answers: route.Answers{201: tokens{}},
		Faults: []fault.Code{fault.WeakPassword, fault.SignupDisabled},
	}
	signInDoc = route.Doc{
		Tag: tag, Summary: "Sign in with a password", Body: signInBody{}, Answers: route.Answers{200: tokens{}},
		Faults: []fault.Code{fault.InvalidCredentials, fault.AccountLocked, fault.PasswordLoginDisabled},
	}
	refreshDoc = route.Doc{
		Tag: tag, Summary: "Change a refresh token for a new pair of tokens", Body: refreshBody{}, BodyOptional: true,
		Answers: route.Answers{200: tokens{}}, Faults: []fault.Code{fault.InvalidToken, fault.AccessDenied},
	}
	signOutDoc = route.Doc{
		Tag: tag, Summary: "End sessions", Body: signOutBody{}, BodyOptional: true, Answers: route.Answers{200: message{}},
		Parameters: []route.Parameter{{Name: "scope", In: route.InQuery, Schema: schema.Enum("local", "global", "others"),
			Description: "The caller's session, all of the user's, or all but the caller's"}},
	}
	getUserDoc = route.Doc{
		Tag: tag, Summary: "Read one's account", Answers: route.Answers{200: User{}},
	}
	updateUserDoc = route.Doc{
		Tag: tag, Summary: "Change one's account", Body: updateUserBody{}, Answers: route.Answers{200: User{}},
		Faults: []fault.Code{fault.WeakPassword, fault.ReauthenticationRequired},
	}
)
