package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HTTP counts requests. A route's series are looked up once, when the server
// starts; a request adds to them and nothing more.
type HTTP struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	sizes     *prometheus.HistogramVec
	responses prometheus.Histogram
	inFlight  prometheus.Gauge
	refused   *prometheus.CounterVec
}

// Route is the series of one route.
type Route struct {
	http     *HTTP
	classes  [len(classNames)]class
	requests prometheus.Observer
}

// class is the series of one class of statuses.
type class struct {
	count    prometheus.Counter
	duration prometheus.Observer
}

var classNames = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

func newHTTP(r prometheus.Registerer) *HTTP {
	h := &HTTP{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fluxbase_http_requests_total", Help: "Requests answered.",
		}, []string{"method", "path", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fluxbase_http_request_duration_seconds", Help: "Time from the parsed header to the finished answer.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "path", "status"}),
		sizes: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "fluxbase_http_request_size_bytes", Help: "Size of request bodies.",
			Buckets: prometheus.ExponentialBuckets(128, 8, 8),
		}, []string{"method", "path"}),
		responses: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fluxbase_http_response_size_bytes", Help: "Size of response bodies before compression; streams count as 0.",
			Buckets: prometheus.ExponentialBuckets(128, 8, 8),
		}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "fluxbase_http_requests_in_flight", Help: "Requests being worked on.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "fluxbase_rate_limit_hits_total", Help: "Requests refused by a rate limit.",
		}, []string{"limiter_type"}),
	}
	r.MustRegister(h.requests, h.durations, h.sizes, h.responses, h.inFlight, h.refused)
	return h
}

// Route gives the series of a route; path is its template.
func (h *HTTP) Route(method, path string) *Route {
	r := &Route{http: h, requests: h.sizes.WithLabelValues(method, path)}
	for i, name := range classNames {
		r.classes[i] = class{
			count:    h.requests.WithLabelValues(method, path, name),
			duration: h.durations.WithLabelValues(method, path, name),
		}
	}
	return r
}

// Begin counts a request as being worked on until Done.
func (h *HTTP) Begin() { h.inFlight.Inc() }

// Done counts an answered request.
func (r *Route) Done(status, requestBytes, responseBytes int, took time.Duration) {
	r.http.inFlight.Dec()
	c := &r.classes[min(max(status/100, 1), len(classNames))-1]
	c.count.Inc()
	c.duration.Observe(took.Seconds())
	r.requests.Observe(float64(requestBytes))
	r.http.responses.Observe(float64(responseBytes))
}

// Refused counts a request that a rate limit turned away.
func (h *HTTP) Refused(bucket string) { h.refused.WithLabelValues(bucket).Inc() }
