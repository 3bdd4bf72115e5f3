package config

import "time"

// Realtime bounds sockets, the change log and fan-out.
// A connection limit of 0 means none.
type Realtime struct {
	Enabled bool `key:"enabled" default:"true"`
	// CursorKey seals the positions that clients resume from: exactly 32 bytes.
	CursorKey Secret `key:"cursor_key"`
	// PrivateOnly refuses public channels: only policies on realtime.messages open
	// one.
	PrivateOnly            bool          `key:"private_only" default:"false"`
	MaxConnections         int           `key:"max_connections" default:"50000"`
	MaxConnectionsPerUser  int           `key:"max_connections_per_user" default:"10"`
	MaxConnectionsPerIP    int           `key:"max_connections_per_ip" default:"20"`
	ListenerPoolSize       int           `key:"listener_pool_size" default:"2"`
	ClientMessageQueueSize int           `key:"client_message_queue_size" default:"256"`
	ClientQueueBytes       Bytes         `key:"client_queue_bytes" default:"1MB"`
	SlowClientThreshold    int           `key:"slow_client_threshold" default:"100"`
	SlowClientTimeout      time.Duration `key:"slow_client_timeout" default:"30s"`
	// WriteTimeout is how long a socket may accept no byte while something waits.
	WriteTimeout  time.Duration `key:"write_timeout" default:"10s"`
	MaxFrameBytes Bytes         `key:"max_frame_bytes" default:"512KB"`
	// Compression compresses messages of clients that ask for it (permessage-deflate).
	Compression bool `key:"compression" default:"false"`
	// RingBytes bounds the encoded changes kept per table and identity group.
	RingBytes Bytes `key:"ring_bytes" default:"64MB"`
	// MaxImageBytes is the largest row that is logged whole.
	MaxImageBytes Bytes `key:"max_image_bytes" default:"8MB"`
	// PresenceGrace is how long a presence outlives a socket that was cut; 0 for not
	// at all.
	PresenceGrace time.Duration `key:"presence_grace" default:"5s"`
	// SnapshotMaxRows and SnapshotMaxBytes bound the rows that a subscription may begin
	// with.
	SnapshotMaxRows  int   `key:"snapshot_max_rows" default:"10000"`
	SnapshotMaxBytes Bytes `key:"snapshot_max_bytes" default:"8MB"`
	// LogRetention and LogMaxBytes bound how far back a client may resume.
	LogRetention time.Duration `key:"log_retention" default:"24h"`
	LogMaxBytes  Bytes         `key:"log_max_bytes" default:"1GB"`
	// History are rules for single channels, see HistoryRules; what no rule matches
	// gets limits.channel_history_length and _ttl.
	History []string       `key:"history"`
	Limits  RealtimeLimits `key:"limits"`
}

// RealtimeLimits bound what one connection may do.
type RealtimeLimits struct {
	MaxSubscriptions   int   `key:"max_subscriptions" default:"100"`
	MaxChannels        int   `key:"max_channels" default:"100"`
	MaxPresencePerRoom int   `key:"max_presence_per_room" default:"1000"`
	MaxPresenceBytes   Bytes `key:"max_presence_bytes" default:"16KB"`
	// The rates of one connection; 0 for none. Twice as much may come at once, of
	// messages also MessageBurst unless it is 0. What is beyond is refused with
	// RATE_LIMIT_EXCEEDED. The rates of User, IP and Tenant hold for all their
	// connections and requests on one node together.
	MessagesPerSecond    float64       `key:"messages_per_second" default:"0"`
	MessageBurst         int           `key:"message_burst" default:"0"`
	JoinsPerSecond       float64       `key:"joins_per_second" default:"100"`
	PresencePerSecond    float64       `key:"presence_per_second" default:"20"`
	BytesPerSecond       Bytes         `key:"bytes_per_second" default:"0"`
	User                 RealtimeRates `key:"user"`
	IP                   RealtimeRates `key:"ip"`
	Tenant               RealtimeRates `key:"tenant"`
	HandshakeTimeout     time.Duration `key:"handshake_timeout" default:"10s"`
	HeartbeatInterval    time.Duration `key:"heartbeat_interval" default:"30s"`
	HeartbeatTimeout     time.Duration `key:"heartbeat_timeout" default:"60s"`
	ChannelHistoryLength int           `key:"channel_history_length" default:"1000"`
	ChannelHistoryTTL    time.Duration `key:"channel_history_ttl" default:"5m"`
}

// RealtimeRates bound what comes from one source; 0 for no bound.
type RealtimeRates struct {
	MessagesPerSecond float64 `key:"messages_per_second" default:"0"`
	JoinsPerSecond    float64 `key:"joins_per_second" default:"0"`
	PresencePerSecond float64 `key:"presence_per_second" default:"0"`
	BytesPerSecond    Bytes   `key:"bytes_per_second" default:"0"`
}

// Storage is the object store.
type Storage struct {
	Enabled          bool       `key:"enabled" default:"true"`
	Provider         string     `key:"provider" default:"local"`
	LocalPath        string     `key:"local_path" default:"./storage"`
	S3Endpoint       string     `key:"s3_endpoint"`
	S3AccessKey      Secret     `key:"s3_access_key"`
	S3SecretKey      Secret     `key:"s3_secret_key"`
	S3Bucket         string     `key:"s3_bucket"`
	S3Region         string     `key:"s3_region"`
	S3ForcePathStyle bool       `key:"s3_force_path_style" default:"true"`
	DefaultBuckets   []string   `key:"default_buckets" default:"uploads,temp-files,public"`
	MaxUploadSize    Bytes      `key:"max_upload_size" default:"2GB"`
	Transforms       Transforms `key:"transforms"`
}

// Transforms are image conversions on download.
type Transforms struct {
	Enabled        bool          `key:"enabled" default:"true"`
	DefaultQuality int           `key:"default_quality" default:"80"`
	MaxWidth       int           `key:"max_width" default:"4096"`
	MaxHeight      int           `key:"max_height" default:"4096"`
	AllowedFormats []string      `key:"allowed_formats" default:"webp,jpg,png,avif"`
	MaxConcurrent  int           `key:"max_concurrent" default:"4"`
	Timeout        time.Duration `key:"timeout" default:"30s"`
	RateLimit      int           `key:"rate_limit" default:"60"`
	CacheTTL       time.Duration `key:"cache_ttl" default:"24h"`
	CacheMaxSize   Bytes         `key:"cache_max_size" default:"1GB"`
}

// Functions are the user's functions. Bare numbers of time are seconds; memory
// is in megabytes.
type Functions struct {
	Enabled             bool          `key:"enabled" default:"true"`
	Dir                 string        `key:"functions_dir" default:"./functions"`
	AutoLoadOnBoot      bool          `key:"auto_load_on_boot" default:"true"`
	DefaultTimeout      time.Duration `key:"default_timeout" default:"30s"`
	MaxTimeout          time.Duration `key:"max_timeout" default:"300s"`
	DefaultMemoryLimit  int           `key:"default_memory_limit" default:"128"`
	MaxMemoryLimit      int           `key:"max_memory_limit" default:"1024"`
	MaxOutputSize       Bytes         `key:"max_output_size" default:"10MB"`
	SyncAllowedIPRanges []string      `key:"sync_allowed_ip_ranges"`
}

// Jobs are the user's background jobs.
type Jobs struct {
	Enabled                   bool          `key:"enabled" default:"true"`
	Dir                       string        `key:"jobs_dir" default:"./jobs"`
	AutoLoadOnBoot            bool          `key:"auto_load_on_boot" default:"true"`
	WorkerMode                string        `key:"worker_mode" default:"embedded"`
	EmbeddedWorkerCount       int           `key:"embedded_worker_count" default:"4"`
	MaxConcurrentPerWorker    int           `key:"max_concurrent_per_worker" default:"5"`
	MaxConcurrentPerNamespace int           `key:"max_concurrent_per_namespace" default:"20"`
	DefaultMaxDuration        time.Duration `key:"default_max_duration" default:"5m"`
	MaxMaxDuration            time.Duration `key:"max_max_duration" default:"1h"`
	DefaultProgressTimeout    time.Duration `key:"default_progress_timeout" default:"300s"`
	PollInterval              time.Duration `key:"poll_interval" default:"1s"`
	WorkerHeartbeatInterval   time.Duration `key:"worker_heartbeat_interval" default:"10s"`
	WorkerTimeout             time.Duration `key:"worker_timeout" default:"30s"`
	GracefulShutdownTimeout   time.Duration `key:"graceful_shutdown_timeout" default:"5m"`
	SyncAllowedIPRanges       []string      `key:"sync_allowed_ip_ranges"`
}

// Email is outgoing mail.
type Email struct {
	Enabled        bool   `key:"enabled" default:"true"`
	Provider       string `key:"provider" default:"smtp"`
	FromAddress    string `key:"from_address" default:"noreply@localhost"`
	FromName       string `key:"from_name" default:"Fluxbase"`
	ReplyTo        string `key:"reply_to_address"`
	SMTPHost       string `key:"smtp_host"`
	SMTPPort       int    `key:"smtp_port" default:"587"`
	SMTPUsername   string `key:"smtp_username"`
	SMTPPassword   Secret `key:"smtp_password"`
	SMTPTLS        bool   `key:"smtp_tls" default:"true"`
	SendGridAPIKey Secret `key:"sendgrid_api_key"`
	MailgunAPIKey  Secret `key:"mailgun_api_key"`
	MailgunDomain  string `key:"mailgun_domain"`
	SESAccessKey   Secret `key:"ses_access_key"`
	SESSecretKey   Secret `key:"ses_secret_key"`
	SESRegion      string `key:"ses_region"`
}

// AI is chatbots and the providers behind them.
type AI struct {
	Enabled            bool   `key:"enabled" default:"true"`
	ChatbotsDir        string `key:"chatbots_dir" default:"./chatbots"`
	AutoLoadOnBoot     bool   `key:"auto_load_on_boot" default:"true"`
	ProviderType       string `key:"provider_type"`
	ProviderName       string `key:"provider_name"`
	ProviderModel      string `key:"provider_model"`
	OpenAIAPIKey       Secret `key:"openai_api_key"`
	OpenAIBaseURL      string `key:"openai_base_url"`
	OpenAIOrganization string `key:"openai_organization_id"`
	AzureAPIKey        Secret `key:"azure_api_key"`
	AzureEndpoint      string `key:"azure_endpoint"`
	AzureDeployment    string `key:"azure_deployment_name"`
	AzureAPIVersion    string `key:"azure_api_version"`
	OllamaEndpoint     string `key:"ollama_endpoint" default:"http://localhost:11434"`
	OllamaModel        string `key:"ollama_model"`
	// EmbeddingEnabled lets texts be embedded, by EmbeddingProvider (openai, azure or
	// ollama; ProviderType if it is empty) with EmbeddingModel (the provider's usual one).
	EmbeddingEnabled  bool   `key:"embedding_enabled"`
	EmbeddingProvider string `key:"embedding_provider"`
	EmbeddingModel    string `key:"embedding_model"`
	// What one request may ask to be embedded, and how long the provider may take.
	EmbeddingMaxTexts     int           `key:"embedding_max_texts" default:"100"`
	EmbeddingMaxTextBytes Bytes         `key:"embedding_max_text_bytes" default:"32KB"`
	EmbeddingTimeout      time.Duration `key:"embedding_timeout" default:"25s"`
	// EmbeddingWorkers is how many requests of a tenant wait for the provider at once,
	// EmbeddingQueue how many more may wait for these.
	EmbeddingWorkers    int      `key:"embedding_workers" default:"8"`
	EmbeddingQueue      int      `key:"embedding_queue" default:"32"`
	SyncAllowedIPRanges []string `key:"sync_allowed_ip_ranges"`
}

// MCP is the Model Context Protocol server.
type MCP struct {
	Enabled         bool          `key:"enabled" default:"true"`
	BasePath        string        `key:"base_path" default:"/mcp"`
	SessionTimeout  time.Duration `key:"session_timeout" default:"30m"`
	MaxMessageSize  Bytes         `key:"max_message_size" default:"10MB"`
	RateLimitPerMin int           `key:"rate_limit_per_min" default:"100"`
	AllowedTools    []string      `key:"allowed_tools"`
	ToolsDir        string        `key:"tools_dir" default:"./mcp-tools"`
	OAuth           MCPOAuth      `key:"oauth"`
}

// MCPOAuth lets MCP clients register and sign in.
type MCPOAuth struct {
	Enabled       bool          `key:"enabled" default:"true"`
	DCREnabled    bool          `key:"dcr_enabled" default:"true"`
	TokenExpiry   time.Duration `key:"token_expiry" default:"1h"`
	RefreshExpiry time.Duration `key:"refresh_token_expiry" default:"168h"`
}

// Tenants are the databases of other tenants.
type Tenants struct {
	MaxTenants     int               `key:"max_tenants" default:"100"`
	DatabasePrefix string            `key:"database_prefix" default:"tenant_"`
	ConfigDir      string            `key:"config_dir"`
	Default        DefaultTenant     `key:"default"`
	Pool           TenantPool        `key:"pool"`
	Migrations     TenantMigrations  `key:"migrations"`
	Declarative    DeclarativeSchema `key:"declarative"`
	// Configs are values that differ for single tenants, by slug, then by the
	// path of the key. FLUXBASE_TENANTS__SLUG__SECTION__KEY adds to them.
	Configs map[string]Overrides `key:"configs"`
}

// Overrides are the values of one tenant by full key ("auth.jwt_expiry").
type Overrides map[string]any

// DefaultTenant is the tenant that always exists.
type DefaultTenant struct {
	Name       string `key:"name" default:"Default"`
	AnonKey    Secret `key:"anon_key"`
	ServiceKey Secret `key:"service_key"`
}

// TenantPool bounds the connections of all tenants together.
type TenantPool struct {
	MaxTotalConnections int           `key:"max_total_connections" default:"100"`
	MaxPerTenant        int           `key:"max_per_tenant" default:"10"`
	MinPerTenant        int           `key:"min_per_tenant" default:"2"`
	EvictionAge         time.Duration `key:"eviction_age" default:"30m"`
}

// TenantMigrations says when tenants' schemas are brought up to date.
type TenantMigrations struct {
	CheckInterval time.Duration `key:"check_interval" default:"5m"`
	OnCreate      bool          `key:"on_create" default:"true"`
	OnAccess      bool          `key:"on_access" default:"true"`
	Background    bool          `key:"background" default:"true"`
}

// DeclarativeSchema keeps tenants' public schema equal to a file.
type DeclarativeSchema struct {
	Enabled          bool   `key:"enabled"`
	SchemaDir        string `key:"schema_dir" default:"./schemas"`
	OnCreate         bool   `key:"on_create" default:"true"`
	OnStartup        bool   `key:"on_startup"`
	AllowDestructive bool   `key:"allow_destructive"`
}

// Branching is database branches.
type Branching struct {
	Enabled              bool          `key:"enabled" default:"true"`
	MaxTotalBranches     int           `key:"max_total_branches" default:"50"`
	MaxBranchesPerUser   int           `key:"max_branches_per_user" default:"5"`
	MaxBranchesPerTenant int           `key:"max_branches_per_tenant"`
	DefaultDataCloneMode string        `key:"default_data_clone_mode" default:"schema_only"`
	AutoDeleteAfter      time.Duration `key:"auto_delete_after"`
	DatabasePrefix       string        `key:"database_prefix" default:"branch_"`
	DefaultBranch        string        `key:"default_branch" default:"main"`
	SeedsPath            string        `key:"seeds_path" default:"./seeds"`
	MaxTotalConnections  int           `key:"max_total_connections" default:"500"`
	PoolEvictionAge      time.Duration `key:"pool_eviction_age" default:"1h"`
}

// Migration is the migrations API.
type Migration struct {
	Enabled         bool     `key:"enabled" default:"true"`
	AllowedIPRanges []string `key:"allowed_ip_ranges" default:"172.16.0.0/12,10.0.0.0/8,192.168.0.0/16,127.0.0.0/8,::1/128"`
}
