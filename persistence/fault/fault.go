// Package fault is the one way in which the server says that something was
// refused or went wrong: a stable machine code, a message for people, and what
// a client may need to act. The transport owns the table from code to status.
//
// An error that is no *Fault is a defect or an outage: it is logged whole and
// shown to the client as INTERNAL_ERROR and nothing more.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Fault is an error with a stable code. Make one with New or Newf; add to it
// with the With methods, which return copies.
type Fault struct {
	// Code is stable: clients and tests match on it.
	Code Code
	// Message is the human text, shown to the client: no secrets, no SQL.
	Message string
	// Hint says what to do about it, if anything is known.
	Hint string
	// Details is anything JSON can hold that helps the client; nil for none.
	Details any
	// RetryAfter says when trying again makes sense; 0 when it does not say.
	RetryAfter time.Duration
	// Fields are further top-level members of the error body (for instance
	// required_scope); nil for none.
	Fields map[string]any
	// Cause is what lies beneath, for logs only.
	Cause error
}

// New makes a fault.
func New(code Code, message string) *Fault { return &Fault{Code: code, Message: message} }

// Newf makes a fault with a formatted message.
func Newf(code Code, format string, args ...any) *Fault {
	return &Fault{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error is the code and the message, with the cause when there is one.
func (f *Fault) Error() string {
	if f.Cause != nil {
		return fmt.Sprintf("%s: %s: %v", f.Code, f.Message, f.Cause)
	}
	return fmt.Sprintf("%s: %s", f.Code, f.Message)
}

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Cause }

// Is matches any fault of the same code, so that errors.Is(err, fault.New(c, ""))
// asks for the code.
func (f *Fault) Is(target error) bool {
	var t *Fault
	return errors.As(target, &t) && t.Code == f.Code
}

// WithHint returns a copy with a hint.
func (f *Fault) WithHint(hint string) *Fault { c := *f; c.Hint = hint; return &c }

// WithDetails returns a copy with details.
func (f *Fault) WithDetails(details any) *Fault { c := *f; c.Details = details; return &c }

// WithCause returns a copy that wraps cause.
func (f *Fault) WithCause(cause error) *Fault { c := *f; c.Cause = cause; return &c }

// WithRetryAfter returns a copy that says when to try again.
func (f *Fault) WithRetryAfter(d time.Duration) *Fault { c := *f; c.RetryAfter = d; return &c }

// WithField returns a copy with a further top-level member.
func (f *Fault) WithField(name string, value any) *Fault {
	c := *f
	c.Fields = make(map[string]any, len(f.Fields)+1)
	for k, v := range f.Fields {
		c.Fields[k] = v
	}
	c.Fields[name] = value
	return &c
}

// CodeOf gives the code of the first Fault in err's chain, InternalError for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var f *Fault
	if errors.As(err, &f) {
		return f.Code
	}
	return InternalError
}

// From gives the first Fault in err's chain, or an InternalError that wraps err.
func From(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return &Fault{Code: InternalError, Message: "Internal server error", Cause: err}
}
