package fault

// Code is a stable upper-case name that clients may match on.
type Code string

// Requests that cannot be understood.
const (
	InvalidRequestBody   Code = "INVALID_REQUEST_BODY"
	MissingRequiredField Code = "MISSING_REQUIRED_FIELD"
	InvalidInput         Code = "INVALID_INPUT"
	InvalidID            Code = "INVALID_ID"
	InvalidFormat        Code = "INVALID_FORMAT"
	InvalidQuery         Code = "INVALID_QUERY"
	ValidationFailed     Code = "VALIDATION_FAILED"
	InvalidRole          Code = "INVALID_ROLE"
	JSONTooDeep          Code = "JSON_TOO_DEEP"
	WeakPassword         Code = "WEAK_PASSWORD"
	UnknownColumn        Code = "UNKNOWN_COLUMN"
	UnfilteredWrite      Code = "UNFILTERED_WRITE"
	BatchTooLarge        Code = "BATCH_TOO_LARGE"
	Unprocessable        Code = "UNPROCESSABLE"
)

// Requests that ask for more than the server gives.
const (
	// QueryTooLarge is a query with too many parts, StatementTooCostly one whose plan
	// costs too much.
	QueryTooLarge      Code = "QUERY_TOO_LARGE"
	StatementTooCostly Code = "STATEMENT_TOO_COSTLY"
	// AggregatesDisabled is a query with aggregates where they are switched off.
	AggregatesDisabled Code = "AGGREGATES_DISABLED"
	// TooManyRows is a write that would change too many rows: it changed none.
	TooManyRows Code = "TOO_MANY_ROWS"
	// AnswerTooLarge is an answer of too many bytes. What was asked for has been done.
	AnswerTooLarge Code = "ANSWER_TOO_LARGE"
)

// Related rows and functions that are asked for and cannot be told or used like
// this.
const (
	InvalidEmbedFilter    Code = "INVALID_EMBED_FILTER"
	NotEmbedded           Code = "NOT_EMBEDDED"
	UnrelatedOrder        Code = "UNRELATED_ORDER"
	RelationshipNotFound  Code = "RELATIONSHIP_NOT_FOUND"
	AmbiguousRelationship Code = "AMBIGUOUS_RELATIONSHIP"
	FunctionNotFound      Code = "FUNCTION_NOT_FOUND"
	AmbiguousFunction     Code = "AMBIGUOUS_FUNCTION"
)

// Writes that were asked for before.
const (
	IdempotencyKeyInUse  Code = "IDEMPOTENCY_KEY_IN_USE"
	IdempotencyKeyReused Code = "IDEMPOTENCY_KEY_REUSED"
	// AlreadyAnswered is for the server itself: the answer is kept and is given
	// again.
	AlreadyAnswered Code = "ALREADY_ANSWERED"
	// UnexpectedRows is a write that changed another number of rows than its
	// request allows, and RolledBack one that was to be tried only.
	UnexpectedRows Code = "UNEXPECTED_ROWS"
	RolledBack     Code = "ROLLED_BACK"
	// ClaimLost is for the server itself: what was being done belongs to somebody
	// else by now, or is not wanted any more.
	ClaimLost Code = "CLAIM_LOST"
)

// Credentials that are missing or wrong.
const (
	MissingAuthentication    Code = "MISSING_AUTHENTICATION"
	AuthenticationRequired   Code = "AUTHENTICATION_REQUIRED"
	InvalidToken             Code = "INVALID_TOKEN"
	ExpiredToken             Code = "EXPIRED_TOKEN"
	RevokedToken             Code = "REVOKED_TOKEN"
	InvalidCredentials       Code = "INVALID_CREDENTIALS"
	InvalidSetupToken        Code = "INVALID_SETUP_TOKEN"
	ReauthenticationRequired Code = "REAUTHENTICATION_REQUIRED"
)

// Things that are understood and refused.
const (
	AccessDenied            Code = "ACCESS_DENIED"
	InsufficientPermissions Code = "INSUFFICIENT_PERMISSIONS"
	AdminRequired           Code = "ADMIN_REQUIRED"
	RLSPolicyViolation      Code = "RLS_POLICY_VIOLATION"
	AccountLocked           Code = "ACCOUNT_LOCKED"
	SignupDisabled          Code = "SIGNUP_DISABLED"
	PasswordLoginDisabled   Code = "PASSWORD_LOGIN_DISABLED"
	EmailNotVerified        Code = "EMAIL_NOT_VERIFIED"
	SetupDisabled           Code = "SETUP_DISABLED"
	SetupAlreadyCompleted   Code = "SETUP_ALREADY_COMPLETED"
	ReadOnlyRelation        Code = "READ_ONLY_RELATION"
	MethodNotAllowed        Code = "METHOD_NOT_ALLOWED"
)

// What is not there, or stands in the way.
const (
	NotFound            Code = "NOT_FOUND"
	RealtimeNotEnabled  Code = "REALTIME_NOT_ENABLED"
	TableNotFound       Code = "TABLE_NOT_FOUND"
	TenantNotFound      Code = "TENANT_NOT_FOUND"
	AlreadyExists       Code = "ALREADY_EXISTS"
	DuplicateKey        Code = "DUPLICATE_KEY"
	ForeignKeyViolation Code = "FOREIGN_KEY_VIOLATION"
	NotNullViolation    Code = "NOT_NULL_VIOLATION"
	CheckViolation      Code = "CHECK_VIOLATION"
	Conflict            Code = "CONFLICT"
	PayloadTooLarge     Code = "PAYLOAD_TOO_LARGE"
	UpgradeRequired     Code = "UPGRADE_REQUIRED"
	UnsupportedMedia    Code = "UNSUPPORTED_MEDIA_TYPE"
	NotAcceptable       Code = "NOT_ACCEPTABLE"
	RequestTimeout      Code = "REQUEST_TIMEOUT"
	HeadersTooLarge     Code = "HEADERS_TOO_LARGE"
)

// Too much, too late, or broken.
const (
	RateLimitExceeded  Code = "RATE_LIMIT_EXCEEDED"
	Overloaded         Code = "OVERLOADED"
	ServiceUnavailable Code = "SERVICE_UNAVAILABLE"
	FeatureDisabled    Code = "FEATURE_DISABLED"
	Draining           Code = "DRAINING"
	Timeout            Code = "TIMEOUT"
	Canceled           Code = "CANCELED"
	DatabaseError      Code = "DATABASE_ERROR"
	RaisedException    Code = "RAISED_EXCEPTION"
	OperationFailed    Code = "OPERATION_FAILED"
	InternalError      Code = "INTERNAL_ERROR"
)

// GraphQL: a request that is not executed. The names are those that its servers and
// clients agree on.
const (
	GraphQLParseFailed      Code = "GRAPHQL_PARSE_FAILED"
	GraphQLValidationFailed Code = "GRAPHQL_VALIDATION_FAILED"
	GraphQLOperationUnknown Code = "OPERATION_RESOLUTION_FAILURE"
	GraphQLLimitExceeded    Code = "QUERY_LIMIT_EXCEEDED"
	BadUserInput            Code = "BAD_USER_INPUT"
	IntrospectionDisabled   Code = "INTROSPECTION_DISABLED"
)

// Sockets: what a realtime connection is told.
const (
	InvalidMessage           Code = "INVALID_MESSAGE"
	UnknownMessageType       Code = "UNKNOWN_MESSAGE_TYPE"
	MaxConnectionsReached    Code = "MAX_CONNECTIONS_REACHED"
	ChannelLimitReached      Code = "CHANNEL_LIMIT_REACHED"
	SubscriptionLimitReached Code = "SUBSCRIPTION_LIMIT_REACHED"
	PresenceLimitReached     Code = "PRESENCE_LIMIT_REACHED"
	MessagesLost             Code = "MESSAGES_LOST"
	ResumeFailed             Code = "RESUME_FAILED"
)
