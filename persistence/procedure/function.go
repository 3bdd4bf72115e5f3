package procedure

// callerFunctions are the functions of schema auth that say who calls.
var callerFunctions = words(`uid role jwt email current_user_id current_user_role is_authenticated is_admin has_tenant_access`)

// refusedFunctions run text as SQL, change the session beyond the statement, or
// reach what is outside of the database.
var refusedFunctions = words(`
	set_config
	query_to_xml query_to_xmlschema query_to_xml_and_xmlschema
	cursor_to_xml cursor_to_xmlschema
	table_to_xml table_to_xmlschema table_to_xml_and_xmlschema
	schema_to_xml schema_to_xmlschema schema_to_xml_and_xmlschema
	database_to_xml database_to_xmlschema database_to_xml_and_xmlschema
	ts_stat ts_rewrite
	loread lowrite
	connectby xpath_table
	gin_clean_pending_list brin_summarize_new_values brin_summarize_range brin_desummarize_range
`)

// refusedFamilies are the beginnings of the names of more of them.
var refusedFamilies = []string{"lo_", "dblink", "crosstab", "binary_upgrade_"}

// systemFunctions are the functions that begin with pg_ and may be called; there are
// hundreds that may not, and new ones with every PostgreSQL.
var systemFunctions = words(`
	pg_typeof pg_column_size pg_column_compression pg_size_pretty pg_size_bytes
	pg_sleep pg_sleep_for pg_sleep_until
	pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
	pg_get_serial_sequence pg_sequence_last_value pg_input_is_valid pg_input_error_info
	pg_current_xact_id pg_current_xact_id_if_assigned pg_xact_commit_timestamp
	pg_backend_pid pg_postmaster_start_time pg_trigger_depth
	pg_client_encoding pg_char_to_encoding pg_encoding_to_char pg_collation_for
	pg_timezone_names pg_timezone_abbrevs
	pg_table_size pg_indexes_size pg_total_relation_size pg_relation_size
	pg_is_in_recovery pg_basetype
`)
