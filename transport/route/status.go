package route

import "fluxbase/persistence/fault"

// statusClosedRequest is what the log says of a client that did not wait.
const statusClosedRequest = 499

// statuses is the one table from codes to HTTP statuses.
var statuses = map[fault.Code]int{
	fault.InvalidRequestBody:   400,
	fault.MissingRequiredField: 400,
	fault.InvalidInput:         400,
	fault.InvalidID:            400,
	fault.InvalidFormat:        400,
	fault.InvalidQuery:         400,
	fault.ValidationFailed:     400,
	fault.InvalidRole:          400,
	fault.JSONTooDeep:          400,
	fault.WeakPassword:         400,
	fault.UnknownColumn:        400,
	fault.UnfilteredWrite:      400,
	fault.BatchTooLarge:        400,
	fault.RaisedException:      400,
	fault.InvalidMessage:       400,
	fault.UnknownMessageType:   400,
	fault.QueryTooLarge:        400,
	fault.StatementTooCostly:   400,
	fault.AggregatesDisabled:   400,
	fault.TooManyRows:          400,
	fault.AnswerTooLarge:       400,

	fault.GraphQLParseFailed:      400,
	fault.GraphQLValidationFailed: 400,
	fault.GraphQLOperationUnknown: 400,
	fault.GraphQLLimitExceeded:    400,
	fault.BadUserInput:            400,
	fault.IntrospectionDisabled:   403,

	fault.InvalidEmbedFilter:    400,
	fault.NotEmbedded:           400,
	fault.UnrelatedOrder:        400,
	fault.RelationshipNotFound:  400,
	fault.AmbiguousRelationship: 400,
	fault.FunctionNotFound:      404,
	fault.AmbiguousFunction:     400,

	fault.MissingAuthentication:    401,
	fault.AuthenticationRequired:   401,
	fault.InvalidToken:             401,
	fault.ExpiredToken:             401,
	fault.RevokedToken:             401,
	fault.InvalidCredentials:       401,
	fault.InvalidSetupToken:        401,
	fault.ReauthenticationRequired: 401,

	fault.AccessDenied:            403,
	fault.InsufficientPermissions: 403,
	fault.AdminRequired:           403,
	fault.RLSPolicyViolation:      403,
	fault.AccountLocked:           403,
	fault.SignupDisabled:          403,
	fault.PasswordLoginDisabled:   403,
	fault.EmailNotVerified:        403,
	fault.SetupDisabled:           403,
	fault.SetupAlreadyCompleted:   403,
	fault.ReadOnlyRelation:        405,
	fault.MethodNotAllowed:        405,

	fault.NotFound:            404,
	fault.TableNotFound:       404,
	fault.RealtimeNotEnabled:  404,
	fault.TenantNotFound:      404,
	fault.AlreadyExists:       409,
	fault.DuplicateKey:        409,
	fault.ForeignKeyViolation: 409,
	fault.NotNullViolation:    400,
	fault.CheckViolation:      400,
	fault.Conflict:            409,
	fault.PayloadTooLarge:     413,
	fault.UpgradeRequired:     426,
	fault.UnsupportedMedia:    415,
	fault.NotAcceptable:       406,
	fault.Unprocessable:       422,
	fault.RequestTimeout:      408,

	fault.IdempotencyKeyInUse:  409,
	fault.AlreadyAnswered:      409,
	fault.IdempotencyKeyReused: 422,
	fault.UnexpectedRows:       406,
	fault.RolledBack:           409,
	fault.ClaimLost:            409,

	fault.HeadersTooLarge: 431,
	fault.MessagesLost:    410,
	fault.ResumeFailed:    410,

	fault.RateLimitExceeded:        429,
	fault.ChannelLimitReached:      429,
	fault.SubscriptionLimitReached: 429,
	fault.PresenceLimitReached:     429,
	fault.MaxConnectionsReached:    503,

	fault.Overloaded:         503,
	fault.ServiceUnavailable: 503,
	fault.FeatureDisabled:    503,
	fault.Draining:           503,
	fault.Timeout:            504,
	fault.Canceled:           statusClosedRequest,
	fault.DatabaseError:      500,
	fault.OperationFailed:    500,
	fault.InternalError:      500,
}

// Status is the HTTP status of a code. A code that the table does not know is a
// defect of ours: 500.
func Status(code fault.Code) int {
	if s, ok := statuses[code]; ok {
		return s
	}
	return 500
}
