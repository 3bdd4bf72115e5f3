package query

// Call calls a function.
type Call struct {
	Function Relation
	// Body is one JSON object with the arguments; its JSON is nil when Texts are
	// given.
	Body Body
	// Texts are the arguments as texts, by name. An argument may be there several
	// times where the function takes any number of it.
	Texts []Text
	// Raw, when not nil, is a body that is one argument without a name, of the type
	// RawType: json, text, xml or bytea. For json it is the alternative to Body.
	Raw     []byte
	RawType string

	// What is wanted of the rows that the function returns.
	Fields Projection
	Where  Condition
	Order  []Order
	Page   Page
	Count  Count
}

// Text is a named argument as a text.
type Text struct{ Name, Value string }

// Names are the names of the arguments, each once.
func (c *Call) Names() []string {
	if c.Texts == nil {
		return c.Body.Keys
	}
	var names []string
	seen := map[string]bool{}
	for _, t := range c.Texts {
		if !seen[t.Name] {
			seen[t.Name] = true
			names = append(names, t.Name)
		}
	}
	return names
}
