package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// shippedSecrets stand in examples all over the web; a server that runs with
// one of them is open.
var shippedSecrets = []string{
	"your-secret-key-change-in-production",
	"your-super-secret-jwt-token-with-at-least-32-characters-long",
	"super-secret-jwt-token-with-at-least-32-characters-long",
	"please-change-me-to-a-long-random-secret",
}

// weakWords in a set-up token mean that nobody chose it.
var weakWords = []string{"changeme", "change-me", "change_me", "password", "secret", "test", "admin", "setup", "example", "default", "token", "fluxbase", "123456"}

// leastEntropy is the entropy per character below which a JWT secret is refused.
// Hexadecimal digits cannot reach it (they hold 4 bits at most), so a longer
// secret may be simpler.
const (
	leastEntropy     = 4.5
	longSecret       = 48
	leastEntropyLong = 3.5
)

// Validate applies the rules between and about values. Warnings are what the
// operator should know although the server starts. The error joins every
// violation, each with the path of its key.
func (c *Config) Validate() (warnings []string, err error) {
	v := &violations{}
	v.secrets(c)
	v.server(c)
	v.database(c)
	v.choices(c)
	v.numbers(c)
	v.relations(c)
	v.embedding(&c.AI)
	if d := c.Database; !d.Managed() && d.URL == "" && d.Password == "postgres" {
		warnings = append(warnings, "database.password is the default one")
	}
	return warnings, errors.Join(v.all...)
}

type violations struct{ all []error }

func (v *violations) add(path, format string, args ...any) {
	v.all = append(v.all, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

func (v *violations) secrets(c *Config) {
	secret := c.Auth.JWTSecret.Reveal()
	switch {
	case secret == "":
		v.add("auth.jwt_secret", "is required")
	case slices.Contains(shippedSecrets, strings.ToLower(secret)):
		v.add("auth.jwt_secret", "is a published example; choose a random one")
	case entropy(secret) < leastEntropyLong, entropy(secret) < leastEntropy && len(secret) < longSecret:
		v.add("auth.jwt_secret", "is too regular (%.1f bits per character, at least %.1f are needed); choose a longer random one", entropy(secret), leastEntropy)
	case len(secret) < 32:
		// RFC 7518, 3.2: the key of HS256 has at least the size of its output.
		v.add("auth.jwt_secret", "must have at least 32 characters, it has %d", len(secret))
	}
	for _, k := range []struct {
		path  string
		value Secret
	}{{"encryption_key", c.EncryptionKey}, {"realtime.cursor_key", c.Realtime.CursorKey}} {
		if len(k.value) != 32 {
			v.add(k.path, "must be exactly 32 bytes long, it is %d", len(k.value))
		}
	}
	token := strings.ToLower(c.Security.SetupToken.Reveal())
	if len(token) < 40 && slices.ContainsFunc(weakWords, func(w string) bool { return strings.Contains(token, w) }) {
		v.add("security.setup_token", "can be guessed; choose a random one")
	}
}

// entropy is Shannon's, in bits per character.
func entropy(s string) float64 {
	counts := map[rune]int{}
	n := 0
	for _, r := range s {
		counts[r]++
		n++
	}
	h := 0.0
	for _, k := range counts {
		p := float64(k) / float64(n)
		h -= p * math.Log2(p)
	}
	return h
}

func (v *violations) server(c *Config) {
	v.address("server.address", c.Server.Address)
	v.address("cluster.address", c.Cluster.Address)
	if c.Cluster.AdvertiseAddress != "" {
		v.address("cluster.advertise_address", c.Cluster.AdvertiseAddress)
	}
	v.url("base_url", c.BaseURL, "http", "https")
	v.url("public_base_url", c.PublicBaseURL, "http", "https")
	if _, err := c.Realtime.HistoryRules(); err != nil {
		v.add("realtime.history", err.Error())
	}
	v.url("scaling.redis_url", c.Scaling.RedisURL.Reveal(), "redis", "rediss", "unix")
	for _, r := range []struct {
		path   string
		ranges []string
	}{
		{"server.allowed_ip_ranges", c.Server.AllowedIPRanges},
		{"server.trusted_proxies", c.Server.TrustedProxies},
		{"migrations.allowed_ip_ranges", c.Migration.AllowedIPRanges},
		{"functions.sync_allowed_ip_ranges", c.Functions.SyncAllowedIPRanges},
		{"jobs.sync_allowed_ip_ranges", c.Jobs.SyncAllowedIPRanges},
		{"rpc.sync_allowed_ip_ranges", c.RPC.SyncAllowedIPRanges},
		{"ai.sync_allowed_ip_ranges", c.AI.SyncAllowedIPRanges},
	} {
		for _, text := range r.ranges {
			if _, err := netip.ParsePrefix(text); err == nil {
				continue
			}
			if _, err := netip.ParseAddr(text); err != nil {
				v.add(r.path, "%q is neither an address nor a range such as 10.0.0.0/8", text)
			}
		}
	}
	if slices.Contains(c.CORS.AllowedOrigins, "*") && c.CORS.AllowCredentials {
		v.add("cors.allowed_origins", "* cannot be combined with cors.allow_credentials")
	}
	if !strings.HasPrefix(c.Metrics.Path, "/") {
		v.add("metrics.path", "must begin with /")
	}
}

func (v *violations) address(path, address string) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		v.add(path, "%q is no address: write host:port or :port", address)
		return
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		v.add(path, "%q is no port", port)
	}
}

func (v *violations) url(path, text string, schemes ...string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	// The text is not repeated: an address may hold a password.
	if err != nil || !slices.Contains(schemes, u.Scheme) || (u.Host == "" && u.Path == "") {
		v.add(path, "is no %s address", strings.Join(schemes, " or "))
	}
}

func (v *violations) database(c *Config) {
	v.url("database.url", c.Database.URL.Reveal(), "postgres", "postgresql")
	v.port("database.port", c.Database.Port)
	v.port("metrics.port", c.Metrics.Port)
	v.port("email.smtp_port", c.Email.SMTPPort)
	v.oneOf("database.ssl_mode", c.Database.SSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
	if c.Database.MinConnections > c.Database.MaxConnections {
		v.add("database.min_connections", "is more than database.max_connections")
	}
}

// port allows 0, which takes a free one.
func (v *violations) port(path string, port int) {
	if port < 0 || port > 65535 {
		v.add(path, "%d is no port", port)
	}
}

func (v *violations) choices(c *Config) {
	v.oneOf("postgres.engine", c.Postgres.Engine, "auto", "system", "npm")
	v.oneOf("auth.oauth_state_storage", c.Auth.OAuthStateStorage, "memory", "database")
	v.oneOf("security.captcha.provider", c.Security.Captcha.Provider, "hcaptcha", "recaptcha_v3", "turnstile", "cap")
	v.oneOf("logging.console_level", c.Logging.ConsoleLevel, "debug", "info", "warn", "error")
	v.oneOf("logging.console_format", c.Logging.ConsoleFormat, "auto", "console", "json")
	v.oneOf("logging.backend", c.Logging.Backend, "postgres", "timescaledb", "s3", "local", "elasticsearch", "opensearch", "clickhouse", "loki")
	v.oneOf("storage.provider", c.Storage.Provider, "local", "s3")
	v.oneOf("email.provider", c.Email.Provider, "smtp", "sendgrid", "mailgun", "ses")
	v.oneOf("jobs.worker_mode", c.Jobs.WorkerMode, "embedded", "standalone", "disabled")
	v.oneOf("branching.default_data_clone_mode", c.Branching.DefaultDataCloneMode, "schema_only", "full_clone", "full", "seed_data")
	v.oneOf("cluster.enabled", strings.ToLower(c.Cluster.Enabled), "auto", "yes", "no", "true", "false", "1", "0")
	v.oneOf("scaling.backend", c.Scaling.Backend, "local", "postgres", "redis")
}

func (v *violations) oneOf(path, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		v.add(path, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
}

// numbers checks that limits and spans which make no sense at zero are above it.
func (v *violations) numbers(c *Config) {
	for _, n := range []struct {
		path  string
		value int
	}{
		{"database.max_connections", c.Database.MaxConnections},
		{"tables.workers", c.Tables.Workers},
		{"tables.exports", c.Tables.Exports},
		{"ai.embedding_max_texts", c.AI.EmbeddingMaxTexts},
		{"ai.embedding_max_text_bytes", int(c.AI.EmbeddingMaxTextBytes)},
		{"ai.embedding_workers", c.AI.EmbeddingWorkers},
		{"tables.identity_workers", c.Tables.IdentityWorkers},
		{"api.max_page_size", c.API.MaxPageSize},
		{"api.default_page_size", c.API.DefaultPageSize},
		{"api.max_batch_size", c.API.MaxBatchSize},
		{"realtime.client_message_queue_size", c.Realtime.ClientMessageQueueSize},
		{"server.body_limits.max_json_depth", c.Server.BodyLimits.MaxJSONDepth},
		{"server.max_connections", c.Server.MaxConnections},
		{"tenants.max_tenants", c.Tenants.MaxTenants},
		{"rpc.default_max_rows", c.RPC.DefaultMaxRows},
		{"rpc.max_concurrent", c.RPC.MaxConcurrent},
		{"rpc.max_concurrent_per_caller", c.RPC.MaxConcurrentPerCaller},
	} {
		if n.value < 1 {
			v.add(n.path, "must be at least 1")
		}
	}
	for _, n := range []struct {
		path  string
		value int
	}{
		{"api.max_conditions", c.API.MaxConditions},
		{"api.max_list_values", c.API.MaxListValues},
		{"api.max_embeds", c.API.MaxEmbeds},
		{"api.max_embed_depth", c.API.MaxEmbedDepth},
		{"api.max_affected_rows", c.API.MaxAffectedRows},
	} {
		if n.value < -1 {
			v.add(n.path, "must be at least 0, or -1 for no limit")
		}
	}
	if f := c.API.PreRequest; f != "" && (strings.Count(f, ".") != 1 || strings.HasPrefix(f, ".") || strings.HasSuffix(f, ".")) {
		v.add("api.pre_request", "must be a function with its schema: schema.name")
	}
	if !(c.API.MaxStatementCost >= 0) {
		v.add("api.max_statement_cost", "must not be below 0")
	}
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"auth.jwt_expiry", c.Auth.JWTExpiry},
		{"auth.refresh_expiry", c.Auth.RefreshExpiry},
		{"server.request_timeout", c.Server.RequestTimeout},
		{"server.shutdown_timeout", c.Server.ShutdownTimeout},
		{"cluster.renew", c.Cluster.Renew},
		{"rpc.default_max_execution_time", c.RPC.DefaultExecutionTime},
		{"rpc.max_max_execution_time", c.RPC.MaxExecutionTime},
		{"rpc.rate_window", c.RPC.RateWindow},
		{"rpc.execution_retention", c.RPC.Retention},
		{"ai.embedding_timeout", c.AI.EmbeddingTimeout},
	} {
		if d.value <= 0 {
			v.add(d.path, "must be more than 0")
		}
	}
	if c.RPC.AsyncWorkers < 0 || c.RPC.MaxPendingPerCaller < 0 || c.RPC.RateLimit < 0 {
		v.add("rpc", "async_workers, max_pending_per_caller and rate_limit must not be below 0")
	}
	if c.RPC.Lease < time.Second {
		v.add("rpc.lease_ttl", "must be at least 1s")
	}
	limits := c.Realtime.Limits
	own := RealtimeRates{limits.MessagesPerSecond, limits.JoinsPerSecond, limits.PresencePerSecond, limits.BytesPerSecond}
	for path, r := range map[string]RealtimeRates{"": own, "user.": limits.User, "ip.": limits.IP, "tenant.": limits.Tenant} {
		for key, rate := range map[string]float64{"messages": r.MessagesPerSecond, "joins": r.JoinsPerSecond, "presence": r.PresencePerSecond} {
			if !(rate >= 0) {
				v.add("realtime.limits."+path+key+"_per_second", "must not be below 0")
			}
		}
	}
	if c.Realtime.PresenceGrace < 0 {
		v.add("realtime.presence_grace", "must not be below 0")
	}
	if n := c.Auth.PasswordMinLength; n < 8 || n > 72 {
		v.add("auth.password_min_length", "must be between 8 and 72")
	}
	if n := c.Auth.BcryptCost; n < 4 || n > 31 {
		v.add("auth.bcrypt_cost", "must be between 4 and 31")
	}
	if r := c.Tracing.SampleRate; r < 0 || r > 1 {
		v.add("tracing.sample_rate", "must be between 0 and 1")
	}
}

// embedding checks that the provider of embeddings can be asked.
func (v *violations) embedding(c *AI) {
	v.url("ai.openai_base_url", c.OpenAIBaseURL, "http", "https")
	v.url("ai.azure_endpoint", c.AzureEndpoint, "http", "https")
	v.url("ai.ollama_endpoint", c.OllamaEndpoint, "http", "https")
	if !c.EmbeddingEnabled {
		return
	}
	if c.Embedder() == "" {
		v.add("ai.embedding_provider", "is required when ai.embedding_enabled is set: openai, azure or ollama")
		return
	}
	v.oneOf("ai.embedding_provider", c.Embedder(), "openai", "azure", "ollama")
	switch c.Embedder() {
	case "openai":
		if c.OpenAIAPIKey == "" && c.OpenAIBaseURL == "" {
			v.add("ai.openai_api_key", "is required to embed texts by openai")
		}
	case "azure":
		if c.AzureAPIKey == "" || c.AzureEndpoint == "" {
			v.add("ai.azure_endpoint", "and ai.azure_api_key are required to embed texts by azure")
		}
	}
}

func (v *violations) relations(c *Config) {
	if c.Cluster.Renew >= c.Cluster.Fence || c.Cluster.Fence >= c.Cluster.Lease {
		v.add("cluster.fence", "renew < fence < lease_ttl must hold: a node has to stop before others take over")
	}
	if c.Server.DrainGrace >= c.Server.ShutdownTimeout {
		v.add("server.drain_grace", "must be less than server.shutdown_timeout")
	}
	if c.API.DefaultPageSize > c.API.MaxPageSize {
		v.add("api.default_page_size", "is more than api.max_page_size")
	}
	if c.Scaling.Backend == "redis" && c.Scaling.RedisURL == "" {
		v.add("scaling.redis_url", "is required when scaling.backend is redis")
	}
	if c.Logging.Backend == "s3" && c.Logging.S3Bucket == "" {
		v.add("logging.s3_bucket", "is required when logging.backend is s3")
	}
	if c.Storage.Provider == "s3" && c.Storage.S3Bucket == "" {
		v.add("storage.s3_bucket", "is required when storage.provider is s3")
	}
}
