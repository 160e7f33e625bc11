/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers to requests that failed whole, and the refusals of what a node without authorizer and
 * secret key does not do.
 */
#include "admin_support.h"

#include "config/served_apis.h"
#include "server/error_response.h"
#include "server/request_internal.h"

static struct desk desk;
static struct desk_request asked;

static int setup(void **state)
{
    UNUSED(state);
    desk_open(&desk, NULL, 0);
    desk_publish(&desk);
    return 0;
}

static int teardown(void **state)
{
    UNUSED(state);
    desk_close(&desk);
    return 0;
}

static void fail_it(struct request *request)
{
    request_answer_failed(request, ERR_POLICY_VIOLATION, "because");
}

static void fail_quietly(struct request *request)
{
    request_answer_failed(request, ERR_POLICY_VIOLATION, NULL);
}

/* Encoding happens in desk_ask: a form that a version cannot carry fails there. */
static void every_served_api_can_fail_in_every_version(void **state)
{
    static const struct served_api *const tables[] = {served_broker_apis, served_controller_apis};

    UNUSED(state);
    for (size_t t = 0; t < ARRAY_COUNT(tables); t++) {
        for (const struct served_api *row = tables[t]; row->api_key >= 0; row++) {
            const struct api *api = api_find(row->api_key);
            int16_t from = MAX(row->min, api->request->version_min);

            for (int16_t version = from; version <= row->max; version++) {
                void *body = arena_zeroed(&desk.arena, 1, message_struct_bytes(api->request));

                message_init(api->request, body);
                if (row->api_key == API_PRODUCE)
                    ((struct produce_request *)body)->acks = -1;
                desk_ask(&desk, &asked, row->api_key, version, body,
                         version % 2 ? fail_it : fail_quietly);
                assert_true(asked.is_answered);
                assert_false(asked.is_closed);
                desk_request_end(&asked);
            }
        }
    }
}

static void a_produce_without_acks_has_no_answer(void **state)
{
    struct produce_request body;

    UNUSED(state);
    produce_request_init(&body);
    body.acks = 0;
    desk_ask(&desk, &asked, API_PRODUCE, 9, &body, fail_it);
    assert_true(asked.is_closed);
    desk_request_end(&asked);
}

static void a_failed_produce_tells_every_partition(void **state)
{
    struct produce_request body;
    const struct produce_response *response;

    UNUSED(state);
    produce_request_init(&body);
    body.acks = 1;
    body.topic_data = produce_request_topic_produce_data_array(&desk.arena, 1);
    body.topic_data_count = 1;
    body.topic_data->name = SLICE("t");
    body.topic_data->partition_data = produce_request_partition_produce_data_array(&desk.arena, 2);
    body.topic_data->partition_data_count = 2;
    body.topic_data->partition_data[0].records = SLICE_NULL;
    body.topic_data->partition_data[1].index = 5;
    body.topic_data->partition_data[1].records = SLICE_NULL;
    desk_ask(&desk, &asked, API_PRODUCE, 9, &body, fail_it);
    response = asked.response;
    assert_slice(response->responses[0].name, "t");
    assert_int_equal(response->responses[0].partition_responses_count, 2);
    assert_int_equal(response->responses[0].partition_responses[1].index, 5);
    assert_int_equal(response->responses[0].partition_responses[1].error_code,
                     ERR_POLICY_VIOLATION);
    assert_int_equal(response->responses[0].partition_responses[1].base_offset, -1);
    assert_slice(response->responses[0].partition_responses[1].error_message, "because");
    desk_request_end(&asked);
}

static void a_failed_join_has_no_protocol_name_once_that_may_be_null(void **state)
{
    struct join_group_request body;
    const struct join_group_response *response;

    UNUSED(state);
    for (int16_t version = 6; version <= 7; version++) {
        join_group_request_init(&body);
        desk_ask(&desk, &asked, API_JOIN_GROUP, version, &body, fail_it);
        response = asked.response;
        assert_int_equal(response->error_code, ERR_POLICY_VIOLATION);
        assert_true(slice_is_null(response->protocol_name) == (version == 7));
        desk_request_end(&asked);
    }
}

static const struct fetch_response *fetch_fail(int16_t version)
{
    struct fetch_request body;

    fetch_request_init(&body);
    body.session_id = version >= 7 ? 8 : 0;
    body.topics = fetch_request_fetch_topic_array(&desk.arena, 1);
    body.topics_count = 1;
    if (version < 13)
        body.topics->topic = SLICE("t");
    body.topics->partitions = fetch_request_fetch_partition_array(&desk.arena, 1);
    body.topics->partitions_count = 1;
    desk_ask(&desk, &asked, API_FETCH, version, &body, fail_it);
    desk_request_end(&asked);
    return asked.response;
}

static void a_failed_fetch_tells_partitions_until_version_12(void **state)
{
    const struct fetch_response *response = fetch_fail(12);

    UNUSED(state);
    assert_int_equal(response->error_code, ERR_POLICY_VIOLATION);
    assert_int_equal(response->session_id, 8);
    assert_int_equal(response->responses[0].partitions[0].error_code, ERR_POLICY_VIOLATION);
    assert_int_equal(response->responses[0].partitions[0].high_watermark, -1);
    assert_int_equal(fetch_fail(13)->responses_count, 0);
}

static void a_description_without_error_has_an_empty_text(void **state)
{
    struct describe_client_quotas_request quotas;
    struct describe_user_scram_credentials_request credentials;
    struct slice text;

    UNUSED(state);
    describe_client_quotas_request_init(&quotas);
    desk_ask(&desk, &asked, API_DESCRIBE_CLIENT_QUOTAS, 1, &quotas, handle_describe_client_quotas);
    text = ((struct describe_client_quotas_response *)asked.response)->error_message;
    assert_true(!slice_is_null(text) && text.size_bytes == 0);
    desk_request_end(&asked);
    describe_user_scram_credentials_request_init(&credentials);
    desk_ask(&desk, &asked, API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &credentials,
             handle_describe_user_scram_credentials);
    text = ((struct describe_user_scram_credentials_response *)asked.response)->error_message;
    assert_true(!slice_is_null(text) && text.size_bytes == 0);
    desk_request_end(&asked);
}

static void a_failed_quota_description_has_null_entries(void **state)
{
    struct describe_client_quotas_request body;
    const struct describe_client_quotas_response *response;

    UNUSED(state);
    describe_client_quotas_request_init(&body);
    body.components = describe_client_quotas_request_component_data_array(&desk.arena, 1);
    body.components_count = 1;
    body.components->entity_type = SLICE("planet");
    desk_ask(&desk, &asked, API_DESCRIBE_CLIENT_QUOTAS, 1, &body, handle_describe_client_quotas);
    response = asked.response;
    assert_int_equal(response->error_code, ERR_UNSUPPORTED_VERSION);
    assert_slice(response->error_message, "Unsupported entity type planet");
    assert_int_equal(response->entries_count, -1);
    desk_request_end(&asked);
}

/* ---- refusals ---- */

static void acls_are_refused_without_an_authorizer(void **state)
{
    struct describe_acls_request describe;
    struct create_acls_request create;
    struct delete_acls_request delete;

    UNUSED(state);
    describe_acls_request_init(&describe);
    desk_ask(&desk, &asked, API_DESCRIBE_ACLS, 3, &describe, handle_acls);
    assert_int_equal(((struct describe_acls_response *)asked.response)->error_code,
                     ERR_SECURITY_DISABLED);
    assert_slice(((struct describe_acls_response *)asked.response)->error_message,
                 "No Authorizer is configured on the broker");
    desk_request_end(&asked);
    create_acls_request_init(&create);
    create.creations = create_acls_request_acl_creation_array(&desk.arena, 2);
    create.creations_count = 2;
    desk_ask(&desk, &asked, API_CREATE_ACLS, 3, &create, handle_acls);
    assert_int_equal(((struct create_acls_response *)asked.response)->results_count, 2);
    assert_slice(((struct create_acls_response *)asked.response)->results[1].error_message,
                 "No Authorizer is configured.");
    desk_request_end(&asked);
    delete_acls_request_init(&delete);
    delete.filters = delete_acls_request_delete_acls_filter_array(&desk.arena, 1);
    delete.filters_count = 1;
    desk_ask(&desk, &asked, API_DELETE_ACLS, 3, &delete, handle_acls);
    assert_int_equal(((struct delete_acls_response *)asked.response)->filter_results[0].error_code,
                     ERR_SECURITY_DISABLED);
    desk_request_end(&asked);
}

static void tokens_are_refused_by_connection_first(void **state)
{
    struct create_delegation_token_request create;
    struct renew_delegation_token_request renew;
    struct describe_delegation_token_request describe;
    const struct create_delegation_token_response *created;

    UNUSED(state);
    create_delegation_token_request_init(&create);
    desk_ask(&desk, &asked, API_CREATE_DELEGATION_TOKEN, 1, &create, handle_delegation_tokens);
    desk_request_end(&asked);
    create.owner_principal_name = SLICE_NULL;
    create.owner_principal_type = SLICE_NULL;
    desk_ask(&desk, &asked, API_CREATE_DELEGATION_TOKEN, 3, &create, handle_delegation_tokens);
    created = asked.response;
    assert_int_equal(created->error_code, ERR_DELEGATION_TOKEN_REQUEST_NOT_ALLOWED);
    assert_slice(created->principal_name, "ANONYMOUS");
    assert_int_equal(created->expiry_timestamp_ms, -1);
    desk_request_end(&asked);
    renew_delegation_token_request_init(&renew);
    desk_ask(&desk, &asked, API_RENEW_DELEGATION_TOKEN, 2, &renew, handle_delegation_tokens);
    assert_int_equal(
        ((struct renew_delegation_token_response *)asked.response)->expiry_timestamp_ms, -1);
    desk_request_end(&asked);
    desk.kinds[0].principal = SLICE("User:alice");
    describe_delegation_token_request_init(&describe);
    desk_ask(&desk, &asked, API_DESCRIBE_DELEGATION_TOKEN, 3, &describe, handle_delegation_tokens);
    assert_int_equal(((struct describe_delegation_token_response *)asked.response)->error_code,
                     ERR_DELEGATION_TOKEN_AUTH_DISABLED);
    desk_request_end(&asked);
}

static void scram_users_are_described_without_keys(void **state)
{
    struct describe_user_scram_credentials_request body;
    const struct describe_user_scram_credentials_response *response;
    struct user_scram_credential_record *scram =
        desk_record(&desk, METADATA_RECORD_USER_SCRAM_CREDENTIAL, 0);

    UNUSED(state);
    scram->name = SLICE("alice");
    scram->mechanism = 1;
    scram->salt = scram->stored_key = scram->server_key = SLICE("x");
    scram->iterations = 4096;
    desk_replay(&desk);
    desk_publish(&desk);
    describe_user_scram_credentials_request_init(&body);
    body.users_count = -1;
    desk_ask(&desk, &asked, API_DESCRIBE_USER_SCRAM_CREDENTIALS, 0, &body,
             handle_describe_user_scram_credentials);
    response = asked.response;
    assert_int_equal(response->results_count, 1);
    assert_slice(response->results[0].user, "alice");
    assert_int_equal(response->results[0].credential_infos[0].iterations, 4096);
    desk_request_end(&asked);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(every_served_api_can_fail_in_every_version),
        T(a_produce_without_acks_has_no_answer),
        T(a_failed_produce_tells_every_partition),
        T(a_failed_join_has_no_protocol_name_once_that_may_be_null),
        T(a_failed_fetch_tells_partitions_until_version_12),
        T(a_description_without_error_has_an_empty_text),
        T(a_failed_quota_description_has_null_entries),
        T(acls_are_refused_without_an_authorizer),
        T(tokens_are_refused_by_connection_first),
        T(scram_users_are_described_without_keys),
    };

    return cmocka_run_group_tests_name("error_response", tests, NULL, NULL);
}
