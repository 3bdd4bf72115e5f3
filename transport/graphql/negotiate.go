package graphql

import (
	"strconv"
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// The media types of responses.
const (
	mediaJSON     = "application/json"
	mediaResponse = "application/graphql-response+json"
	charset       = "; charset=utf-8"
)

// media is the form of a response.
type media struct {
	name string
	// lenient tells that the client asked for application/json in so many words. Its
	// statuses say nothing of the document then: 200 for all that was understood as a
	// request, as graphql-over-http has it for clients that look no further otherwise.
	lenient bool
}

// accept chooses the media type that the Accept header prefers.
func accept(r *route.Request) (media, error) {
	header := strings.TrimSpace(r.Header("Accept"))
	if header == "" {
		return media{name: mediaJSON}, nil
	}
	best, quality := media{}, 0.0
	for item := range strings.SplitSeq(header, ",") {
		name, parameters, _ := strings.Cut(item, ";")
		offered, q := media{name: mediaJSON}, weight(parameters)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case mediaResponse:
			offered.name = mediaResponse
		case mediaJSON:
			offered.lenient = true
		case "*/*", "application/*":
		default:
			continue
		}
		if q > quality {
			best, quality = offered, q
		}
	}
	if best.name == "" {
		return media{name: mediaJSON}, fault.New(fault.NotAcceptable, "None of these media types are available").
			WithHint("A GraphQL response is " + mediaResponse + " or " + mediaJSON + ".")
	}
	return best, nil
}

// weight is the quality of a media type; 1 when it says nothing.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			if q, err := strconv.ParseFloat(value, 64); err == nil {
				return q
			}
			return 0
		}
	}
	return 1
}
