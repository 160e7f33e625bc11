/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/acls.c: DescribeAcls, CreateAcls and DeleteAcls of a node without an authorizer
 * (requests.md §3.17 of the reference): each is refused in its own form.
 */
#include "protocol/generated/api_keys.h"
#include "server/handlers/handlers.h"

void handle_acls(struct request *request)
{
    request_answer_failed(request, ERR_SECURITY_DISABLED,
                          request->api->key == API_DESCRIBE_ACLS
                              ? "No Authorizer is configured on the broker"
                              : "No Authorizer is configured.");
}
