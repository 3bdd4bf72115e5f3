package rest

import (
	"encoding/json"
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/transport/prefer"
	"fluxbase/transport/route"
)

// settings are what functions and policies may know of the request.
func settings(r *route.Request, p *prefer.Preferences) []data.Setting {
	headers, cookies := map[string]string{}, map[string]string{}
	for name, value := range r.Fast().Request.Header.All() {
		key := strings.ToLower(string(name))
		if earlier, twice := headers[key]; twice {
			headers[key] = earlier + ", " + string(value)
		} else {
			headers[key] = string(value)
		}
	}
	for name, value := range r.Fast().Request.Header.Cookies() {
		cookies[string(name)] = string(value)
	}
	out := []data.Setting{
		{Name: "request.method", Value: r.Method()}, {Name: "request.path", Value: strings.TrimPrefix(r.Path(), base)},
		{Name: "request.headers", Value: asJSON(headers)}, {Name: "request.cookies", Value: asJSON(cookies)},
	}
	if p.Timezone != "" {
		out = append(out, data.Setting{Name: "timezone", Value: p.Timezone})
	}
	return out
}

// asJSON is a map of texts as PostgreSQL takes it: without the character that no
// text of it can hold.
func asJSON(m map[string]string) string {
	for k, v := range m {
		if strings.IndexByte(v, 0) >= 0 {
			m[k] = strings.ReplaceAll(v, "\x00", "")
		}
	}
	raw, err := json.Marshal(m)
	if err != nil { // a map of texts always can
		return "{}"
	}
	return string(raw)
}

// obey applies what the transaction wants to say over HTTP, and gives the status.
func obey(r *route.Request, said data.Response, status int) (int, error) {
	if said.Headers != "" {
		var headers []map[string]string
		if err := json.Unmarshal([]byte(said.Headers), &headers); err != nil {
			return 0, refuse(500, "PGRST111", "response.headers guc must be a JSON array composed of objects with a single key and a string value")
		}
		for _, h := range headers {
			if len(h) != 1 {
				return 0, refuse(500, "PGRST111", "response.headers guc must be a JSON array composed of objects with a single key and a string value")
			}
			for name, value := range h {
				if strings.EqualFold(name, "Set-Cookie") {
					r.AddHeader(name, value)
				} else {
					r.SetHeader(name, value)
				}
			}
		}
	}
	if said.Status != "" {
		n, err := strconv.Atoi(said.Status)
		if err != nil || n < 200 || n > 599 {
			return 0, refuse(500, "PGRST112", "response.status guc must be a valid status code")
		}
		status = n
	}
	return status, nil
}
