/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_client_quotas.c: DescribeClientQuotas from the image (KIP-546).
 */
#include "protocol/generated/describe_client_quotas_request.h"
#include "protocol/generated/describe_client_quotas_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

void handle_describe_client_quotas(struct request *request)
{
    struct describe_client_quotas_response *response = request_response(request);
    const struct publication *publication = image_view_publication(request);
    struct why why = {0};
    enum err err;

    if (!publication)
        return;
    err = metadata_describe_quotas(publication->image, request->body, &request->arena, response,
                                   &why);
    if (err != OK)
        request_answer_failed(request, err, why.text[0] ? why.text : NULL);
    else
        request_answer(request, response);
}
