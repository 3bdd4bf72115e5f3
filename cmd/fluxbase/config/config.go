// Package config is the server's configuration: every key with its default, the
// file and the environment that change them, and the rules that a set of values
// must keep before the server starts.
//
// The struct is the only list of keys. A field's path is made of the `key` tags
// from Config down ("server.body_limits.rest"); its environment variable is
// FLUXBASE_ and the path in upper case with underscores. Only package cmd reads
// Config; it hands every room the options that the room declares itself.
package config

import (
	"strconv"
	"time"
)

// Config is a complete configuration. Load makes one.
type Config struct {
	// DataDir holds what the server keeps on its own: the managed database,
	// generated secrets, runtime files.
	DataDir string `key:"data_dir" default:"./data"`
	// BaseURL is how this server is reached directly.
	BaseURL string `key:"base_url" default:"http://localhost:8080"`
	// PublicBaseURL is how people reach it: links in mails, CORS. Empty means BaseURL.
	PublicBaseURL string `key:"public_base_url"`
	Debug         bool   `key:"debug"`
	// EncryptionKey seals secrets at rest: exactly 32 bytes.
	EncryptionKey Secret `key:"encryption_key"`

	Admin     Admin     `key:"admin"`
	Server    Server    `key:"server"`
	Database  Database  `key:"database"`
	Postgres  Postgres  `key:"postgres"`
	Auth      Auth      `key:"auth"`
	Security  Security  `key:"security"`
	CORS      CORS      `key:"cors"`
	Metrics   Metrics   `key:"metrics"`
	Tracing   Tracing   `key:"tracing"`
	Logging   Logging   `key:"logging"`
	Tables    Tables    `key:"tables"`
	API       API       `key:"api"`
	GraphQL   GraphQL   `key:"graphql"`
	RPC       RPC       `key:"rpc"`
	Realtime  Realtime  `key:"realtime"`
	Storage   Storage   `key:"storage"`
	Functions Functions `key:"functions"`
	Jobs      Jobs      `key:"jobs"`
	Email     Email     `key:"email"`
	AI        AI        `key:"ai"`
	MCP       MCP       `key:"mcp"`
	Tenants   Tenants   `key:"tenants"`
	Branching Branching `key:"branching"`
	Migration Migration `key:"migrations"`
	Scaling   Scaling   `key:"scaling"`
	Cluster   Cluster   `key:"cluster"`
}

// Admin switches the administration area.
type Admin struct {
	Enabled bool `key:"enabled" default:"true"`
}

// Server is the HTTP listener.
type Server struct {
	Address           string        `key:"address" default:":8080"`
	ReadTimeout       time.Duration `key:"read_timeout" default:"300s"`
	ReadHeaderTimeout time.Duration `key:"read_header_timeout" default:"10s"`
	WriteTimeout      time.Duration `key:"write_timeout" default:"300s"`
	IdleTimeout       time.Duration `key:"idle_timeout" default:"120s"`
	// RequestTimeout bounds one ordinary request, its SQL included.
	RequestTimeout time.Duration `key:"request_timeout" default:"30s"`
	// ShutdownTimeout bounds the drain after SIGTERM.
	ShutdownTimeout time.Duration `key:"shutdown_timeout" default:"15s"`
	// DrainGrace is how long a stopping server still takes connections while
	// /ready says 503: longer than a load balancer's interval of checks, and no
	// balancer sends a client to a closed door.
	DrainGrace time.Duration `key:"drain_grace" default:"1s"`
	// BodyLimit is the ceiling that no area's limit passes.
	BodyLimit       Bytes      `key:"body_limit" default:"2GB"`
	BodyLimits      BodyLimits `key:"body_limits"`
	AllowedIPRanges []string   `key:"allowed_ip_ranges"`
	TrustedProxies  []string   `key:"trusted_proxies"`
	MaxConnections  int        `key:"max_connections" default:"100000"`
}

// BodyLimits are the largest request bodies per area.
type BodyLimits struct {
	Enabled      bool  `key:"enabled" default:"true"`
	Default      Bytes `key:"default" default:"1MB"`
	REST         Bytes `key:"rest" default:"1MB"`
	Auth         Bytes `key:"auth" default:"64KB"`
	Realtime     Bytes `key:"realtime" default:"64KB"`
	Storage      Bytes `key:"storage" default:"500MB"`
	Bulk         Bytes `key:"bulk" default:"10MB"`
	RPC          Bytes `key:"rpc" default:"10MB"`
	GraphQL      Bytes `key:"graphql" default:"10MB"`
	MCP          Bytes `key:"mcp" default:"10MB"`
	Admin        Bytes `key:"admin" default:"5MB"`
	AI           Bytes `key:"ai" default:"5MB"`
	Webhooks     Bytes `key:"webhooks" default:"1MB"`
	AdminSync    Bytes `key:"admin_sync" default:"500MB"`
	MaxJSONDepth int   `key:"max_json_depth" default:"64"`
}

// Database is the user's PostgreSQL. With neither URL nor Host the server runs
// its own; see Postgres.
type Database struct {
	URL                 Secret        `key:"url"`
	Host                string        `key:"host"`
	Port                int           `key:"port" default:"5432"`
	User                string        `key:"user" default:"postgres"`
	Password            Secret        `key:"password" default:"postgres"`
	Name                string        `key:"database" default:"fluxbase"`
	SSLMode             string        `key:"ssl_mode" default:"disable"`
	AdminUser           string        `key:"admin_user"`
	AdminPassword       Secret        `key:"admin_password"`
	MaxConnections      int           `key:"max_connections" default:"50"`
	MinConnections      int           `key:"min_connections" default:"10"`
	MaxConnLifetime     time.Duration `key:"max_conn_lifetime" default:"1h"`
	MaxConnIdleTime     time.Duration `key:"max_conn_idle_time" default:"30m"`
	HealthCheckPeriod   time.Duration `key:"health_check_period" default:"1m"`
	UserMigrationsPath  string        `key:"user_migrations_path" default:"/migrations/user"`
	SlowQueryThreshold  time.Duration `key:"slow_query_threshold" default:"1s"`
	RetryAttempts       int           `key:"retry_attempts" default:"5"`
	StatementTimeoutMax time.Duration `key:"statement_timeout_max" default:"5m"`
}

// Joined tells whether the node takes part in a cluster.
func (c *Config) Joined() bool {
	switch c.Cluster.Enabled {
	case "auto":
		return !c.Database.Managed()
	default:
		on, err := strconv.ParseBool(c.Cluster.Enabled)
		return err == nil && on || c.Cluster.Enabled == "yes"
	}
}

// Managed tells whether the server runs its own PostgreSQL.
func (d Database) Managed() bool { return d.URL == "" && d.Host == "" }

// Postgres is the managed PostgreSQL.
type Postgres struct {
	// BinDir holds initdb and postgres; empty searches.
	BinDir string `key:"bin_dir"`
	// Engine limits the search: auto, system or npm.
	Engine string `key:"engine" default:"auto"`
	// KeepRunning leaves PostgreSQL running when the server exits.
	KeepRunning bool `key:"keep_running"`
}

// Auth is sign-in, tokens and password policy.
type Auth struct {
	JWTSecret                Secret           `key:"jwt_secret"`
	JWTExpiry                time.Duration    `key:"jwt_expiry" default:"15m"`
	RefreshExpiry            time.Duration    `key:"refresh_expiry" default:"168h"`
	ServiceRoleTTL           time.Duration    `key:"service_role_ttl" default:"24h"`
	AnonTTL                  time.Duration    `key:"anon_ttl" default:"24h"`
	MagicLinkExpiry          time.Duration    `key:"magic_link_expiry" default:"15m"`
	PasswordResetExpiry      time.Duration    `key:"password_reset_expiry" default:"1h"`
	PasswordMinLength        int              `key:"password_min_length" default:"12"`
	PasswordRequireUppercase bool             `key:"password_require_uppercase"`
	PasswordRequireLowercase bool             `key:"password_require_lowercase"`
	PasswordRequireNumber    bool             `key:"password_require_number"`
	PasswordRequireSpecial   bool             `key:"password_require_special"`
	BcryptCost               int              `key:"bcrypt_cost" default:"10"`
	SignupEnabled            bool             `key:"signup_enabled" default:"true"`
	MagicLinkEnabled         bool             `key:"magic_link_enabled" default:"true"`
	RequireEmailVerification bool             `key:"require_email_verification"`
	DisableAppPasswordLogin  bool             `key:"disable_app_password_login"`
	TOTPIssuer               string           `key:"totp_issuer" default:"Fluxbase"`
	OAuthStateStorage        string           `key:"oauth_state_storage" default:"database"`
	AllowUserClientKeys      bool             `key:"allow_user_client_keys" default:"true"`
	OAuthProviders           []map[string]any `key:"oauth_providers"`
	SAMLProviders            []map[string]any `key:"saml_providers"`
}

// Security is the set-up token, rate limits and CAPTCHA.
type Security struct {
	// SetupToken is what the first administrator shows once.
	SetupToken              Secret        `key:"setup_token"`
	EnableGlobalRateLimit   bool          `key:"enable_global_rate_limit"`
	GlobalRateLimit         int           `key:"global_rate_limit" default:"100"`
	GlobalRateWindow        time.Duration `key:"global_rate_window" default:"1m"`
	AuthLoginRateLimit      int           `key:"auth_login_rate_limit" default:"10"`
	AuthLoginRateWindow     time.Duration `key:"auth_login_rate_window" default:"1m"`
	AuthSignupRateLimit     int           `key:"auth_signup_rate_limit" default:"10"`
	AuthSignupRateWindow    time.Duration `key:"auth_signup_rate_window" default:"15m"`
	AuthResetRateLimit      int           `key:"auth_password_reset_rate_limit" default:"5"`
	AuthResetRateWindow     time.Duration `key:"auth_password_reset_rate_window" default:"15m"`
	Auth2FARateLimit        int           `key:"auth_2fa_rate_limit" default:"5"`
	Auth2FARateWindow       time.Duration `key:"auth_2fa_rate_window" default:"5m"`
	AuthRefreshRateLimit    int           `key:"auth_refresh_rate_limit" default:"10"`
	AuthRefreshRateWindow   time.Duration `key:"auth_refresh_rate_window" default:"1m"`
	AuthMagicLinkRateLimit  int           `key:"auth_magic_link_rate_limit" default:"5"`
	AuthMagicLinkRateWindow time.Duration `key:"auth_magic_link_rate_window" default:"15m"`
	AdminSetupRateLimit     int           `key:"admin_setup_rate_limit" default:"5"`
	AdminSetupRateWindow    time.Duration `key:"admin_setup_rate_window" default:"15m"`
	AdminLoginRateLimit     int           `key:"admin_login_rate_limit" default:"10"`
	AdminLoginRateWindow    time.Duration `key:"admin_login_rate_window" default:"1m"`
	ServiceRoleRateLimit    int           `key:"service_role_rate_limit" default:"10000"`
	ServiceRoleRateWindow   time.Duration `key:"service_role_rate_window" default:"1m"`
	GitHubWebhookRateLimit  int           `key:"github_webhook_rate_limit" default:"30"`
	GitHubWebhookRateWindow time.Duration `key:"github_webhook_rate_window" default:"1m"`
	StorageUploadRateLimit  int           `key:"storage_upload_rate_limit" default:"60"`
	StorageUploadRateWindow time.Duration `key:"storage_upload_rate_window" default:"1m"`
	// ServiceRoleFailOpen accepts service tokens while revocations cannot be checked.
	ServiceRoleFailOpen bool    `key:"service_role_fail_open"`
	Captcha             Captcha `key:"captcha"`
}

// Captcha guards sign-up and sign-in.
type Captcha struct {
	Enabled        bool          `key:"enabled"`
	Provider       string        `key:"provider" default:"hcaptcha"`
	SiteKey        string        `key:"site_key"`
	SecretKey      Secret        `key:"secret_key"`
	ScoreThreshold float64       `key:"score_threshold" default:"0.5"`
	Endpoints      []string      `key:"endpoints" default:"signup,login,password_reset,magic_link"`
	CapServerURL   string        `key:"cap_server_url"`
	CapAPIKey      Secret        `key:"cap_api_key"`
	AdaptiveTrust  AdaptiveTrust `key:"adaptive_trust"`
}

// AdaptiveTrust asks for a CAPTCHA only when a caller looks unusual.
type AdaptiveTrust struct {
	Enabled               bool          `key:"enabled"`
	ScoreThreshold        int           `key:"captcha_threshold" default:"50"`
	TrustTokenTTL         time.Duration `key:"trust_token_ttl" default:"15m"`
	TrustTokenBoundIP     bool          `key:"trust_token_bound_ip" default:"true"`
	ChallengeExpiry       time.Duration `key:"challenge_expiry" default:"5m"`
	AlwaysRequireEndpoint []string      `key:"always_require_endpoints" default:"password_reset"`
}

// CORS is what browsers on other origins may do. PublicBaseURL is always an
// allowed origin.
type CORS struct {
	AllowedOrigins   []string      `key:"allowed_origins" default:"http://localhost:5173,http://localhost:8080"`
	AllowedMethods   []string      `key:"allowed_methods" default:"GET,POST,PUT,PATCH,DELETE,OPTIONS"`
	AllowedHeaders   []string      `key:"allowed_headers" default:"Origin,Content-Type,Accept,Authorization,X-Request-ID,X-CSRF-Token,X-Impersonation-Token,Prefer,apikey,x-client-app,X-FB-Tenant,X-Client-Key,X-Service-Key,X-Fluxbase-Branch,Idempotency-Key,Range"`
	ExposedHeaders   []string      `key:"exposed_headers" default:"Content-Range,Content-Encoding,Content-Length,X-Request-ID,X-RateLimit-Limit,X-RateLimit-Remaining,X-RateLimit-Reset,Idempotency-Replayed,Retry-After,X-Trace-ID"`
	AllowCredentials bool          `key:"allow_credentials" default:"true"`
	MaxAge           time.Duration `key:"max_age" default:"300s"`
}

// Metrics is the Prometheus listener.
type Metrics struct {
	Enabled bool `key:"enabled" default:"true"`
	// Address is the interface that the listener binds: loopback unless widened.
	Address string `key:"address" default:"127.0.0.1"`
	Port    int    `key:"port" default:"9090"`
	Path    string `key:"path" default:"/metrics"`
	// Token, when set, must be sent as a bearer token.
	Token Secret `key:"token"`
}

// Tracing exports spans.
type Tracing struct {
	Enabled     bool    `key:"enabled"`
	Endpoint    string  `key:"endpoint" default:"localhost:4317"`
	ServiceName string  `key:"service_name" default:"fluxbase"`
	Environment string  `key:"environment" default:"development"`
	SampleRate  float64 `key:"sample_rate" default:"1.0"`
	Insecure    bool    `key:"insecure" default:"true"`
}

// Logging is the console log and the central log store.
type Logging struct {
	ConsoleLevel string `key:"console_level" default:"info"`
	// ConsoleFormat is console, json, or auto: console at a terminal.
	ConsoleFormat          string        `key:"console_format" default:"auto"`
	Backend                string        `key:"backend" default:"postgres"`
	BatchSize              int           `key:"batch_size" default:"100"`
	FlushInterval          time.Duration `key:"flush_interval" default:"1s"`
	BufferSize             int           `key:"buffer_size" default:"10000"`
	SystemRetentionDays    int           `key:"system_retention_days" default:"7"`
	HTTPRetentionDays      int           `key:"http_retention_days" default:"30"`
	SecurityRetentionDays  int           `key:"security_retention_days" default:"90"`
	ExecutionRetentionDays int           `key:"execution_retention_days" default:"30"`
	AIRetentionDays        int           `key:"ai_retention_days" default:"30"`
	CustomRetentionDays    int           `key:"custom_retention_days" default:"30"`
	RetentionCheckInterval time.Duration `key:"retention_check_interval" default:"24h"`
	LocalPath              string        `key:"local_path" default:"./logs"`
	S3Bucket               string        `key:"s3_bucket"`
	S3Prefix               string        `key:"s3_prefix" default:"logs"`
	URL                    string        `key:"url"`
	Username               string        `key:"username"`
	Password               Secret        `key:"password"`
}

// Tables sizes the worker pools of a tenant: how much of its work runs at once
// and how much may wait before the server says 503.
type Tables struct {
	Workers int `key:"workers" default:"24"`
	// Exports is how many of the workers may be busy with exports: one takes as long as
	// its client reads.
	Exports         int `key:"exports" default:"6"`
	Queue           int `key:"queue" default:"512"`
	IdentityWorkers int `key:"identity_workers" default:"8"`
	IdentityQueue   int `key:"identity_queue" default:"128"`
}

// API bounds the REST dialects.
type API struct {
	MaxPageSize     int `key:"max_page_size" default:"1000"`
	DefaultPageSize int `key:"default_page_size" default:"1000"`
	MaxTotalResults int `key:"max_total_results" default:"10000"`
	MaxBatchSize    int `key:"max_batch_size" default:"1000"`
	// ExposedSchemas are the schemas whose tables the API serves, as far as grants
	// and policies let a caller. A schema may be made later.
	ExposedSchemas []string `key:"exposed_schemas" default:"public"`
	// PreRequest is a function without arguments, schema.name, that runs as the caller
	// before the statements of each request; empty for none. What it raises refuses
	// the request.
	PreRequest string `key:"pre_request"`
	// PlanEnabled lets callers of PostgREST's dialect ask for PostgreSQL's plans,
	// which tell a lot of the database.
	PlanEnabled bool `key:"plan_enabled"`

	// AggregatesEnabled lets callers have values computed over rows, in all dialects. A
	// count of the rows that match is none.
	AggregatesEnabled bool `key:"aggregates_enabled" default:"true"`

	// How large a query may be. -1 is no limit, here and for MaxAffectedRows.
	MaxConditions int `key:"max_conditions" default:"1000"`
	MaxListValues int `key:"max_list_values" default:"10000"`
	MaxEmbeds     int `key:"max_embeds" default:"50"`
	MaxEmbedDepth int `key:"max_embed_depth" default:"8"`
	// MaxAffectedRows is how many rows one update or deletion may change. It does not
	// hold for administrators and service keys, nor does MaxStatementCost.
	MaxAffectedRows int `key:"max_affected_rows" default:"10000"`
	// MaxStatementCost is the planner's cost that a statement may have; 0 judges none.
	MaxStatementCost float64 `key:"max_statement_cost" default:"0"`
	// MaxAnswerBytes is how large an answer may be that is not streamed; 0 is no limit.
	MaxAnswerBytes Bytes `key:"max_answer_bytes" default:"64MB"`
	// StatementTimeout bounds each statement, beside the request's own time.
	StatementTimeout StatementTimeout `key:"statement_timeout"`
}

// StatementTimeout is how long a statement may take by the database role that it
// runs as; 0 is as long as the request.
type StatementTimeout struct {
	Anon          time.Duration `key:"anon" default:"5s"`
	Authenticated time.Duration `key:"authenticated" default:"10s"`
	Service       time.Duration `key:"service" default:"0"`
}

// GraphQL bounds GraphQL queries.
type GraphQL struct {
	Enabled            bool `key:"enabled" default:"true"`
	MaxDepth           int  `key:"max_depth" default:"10"`
	MaxComplexity      int  `key:"max_complexity" default:"1000"`
	Introspection      bool `key:"introspection" default:"true"`
	AllowFragments     bool `key:"allow_fragments" default:"true"`
	MaxFieldsPerLevel  int  `key:"max_fields_per_lvl" default:"50"`
	MaxAliasesPerQuery int  `key:"max_aliases" default:"50"`
}

// RPC is stored procedures written by the user.
type RPC struct {
	Enabled              bool          `key:"enabled" default:"true"`
	ProceduresDir        string        `key:"procedures_dir" default:"./rpc"`
	AutoLoadOnBoot       bool          `key:"auto_load_on_boot" default:"true"`
	DefaultMaxRows       int           `key:"default_max_rows" default:"1000"`
	DefaultExecutionTime time.Duration `key:"default_max_execution_time" default:"30s"`
	MaxExecutionTime     time.Duration `key:"max_max_execution_time" default:"5m"`
	SyncAllowedIPRanges  []string      `key:"sync_allowed_ip_ranges"`
	// MaxConcurrent is how many calls that are waited for run at a time, AsyncWorkers
	// how many others, of each tenant on each node. MaxConcurrentPerCaller bounds both
	// for one user. MaxPendingPerCaller is how many calls of one caller may wait or
	// run that nobody waits for; 0 for any number. Service identities have no such bound.
	MaxConcurrent          int `key:"max_concurrent" default:"8"`
	AsyncWorkers           int `key:"async_workers" default:"4"`
	MaxConcurrentPerCaller int `key:"max_concurrent_per_caller" default:"4"`
	MaxPendingPerCaller    int `key:"max_pending_per_caller" default:"100"`
	// RateLimit is how many calls one caller may make in RateWindow; 0 for any number.
	RateLimit  int           `key:"rate_limit" default:"0"`
	RateWindow time.Duration `key:"rate_window" default:"1m"`
	// Lease is after how long another node takes over what a dead one was running.
	Lease time.Duration `key:"lease_ttl" default:"15s"`
	// Retention is how long executions that have ended are kept, with their logs.
	Retention time.Duration `key:"execution_retention" default:"720h"`
}

// Scaling is what several nodes share, and what a node leaves out.
type Scaling struct {
	// Backend shares limits and history: local, postgres or redis.
	Backend                       string `key:"backend" default:"local"`
	RedisURL                      Secret `key:"redis_url"`
	EnableSchedulerLeaderElection bool   `key:"enable_scheduler_leader_election" default:"true"`
	DisableScheduler              bool   `key:"disable_scheduler"`
	DisableRealtime               bool   `key:"disable_realtime"`
	WorkerOnly                    bool   `key:"worker_only"`
}

// Cluster joins nodes that share a control database.
type Cluster struct {
	// Enabled is yes, no, or auto: yes when the database is not the managed one,
	// because then other nodes may use it too.
	Enabled string `key:"enabled" default:"auto"`
	// Address is where the node listens for other nodes; port 0 takes a free one.
	Address string `key:"address" default:"127.0.0.1:0"`
	// AdvertiseAddress is how others reach it; empty means Address.
	AdvertiseAddress string `key:"advertise_address"`
	// NodeName tells nodes apart in logs; empty makes one up at every start.
	NodeName string `key:"node_name"`
	// Lease, Renew and Fence: a lease lasts Lease, is renewed every Renew, and a
	// node that could not renew for Fence stops by itself. Fence < Lease.
	Lease time.Duration `key:"lease_ttl" default:"6s"`
	Renew time.Duration `key:"renew" default:"2s"`
	Fence time.Duration `key:"fence" default:"4s"`
}
