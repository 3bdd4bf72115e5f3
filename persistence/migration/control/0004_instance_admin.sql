-- +goose Up

-- For policies: whether an id is that of an active administrator of the
-- installation. It reads a table that its callers may not.
-- +goose StatementBegin
CREATE FUNCTION platform.is_instance_admin(user_id uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = ''
AS $$ SELECT EXISTS (SELECT FROM platform.users u WHERE u.id = user_id AND u.role = 'instance_admin' AND u.is_active) $$;
-- +goose StatementEnd
REVOKE ALL ON FUNCTION platform.is_instance_admin(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION platform.is_instance_admin(uuid) TO authenticated, service_role, tenant_service;

-- +goose Down
DROP FUNCTION platform.is_instance_admin(uuid);
