/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/handlers/describe_user_scram_credentials.c: DescribeUserScramCredentials from the image
 * (KIP-554): mechanisms and iterations, never the keys.
 */
#include "protocol/generated/describe_user_scram_credentials_request.h"
#include "protocol/generated/describe_user_scram_credentials_response.h"
#include "server/handlers/handlers.h"
#include "server/handlers/image_view.h"

void handle_describe_user_scram_credentials(struct request *request)
{
    struct describe_user_scram_credentials_response *response = request_response(request);
    const struct publication *publication = image_view_publication(request);
    enum err err;

    if (!publication)
        return;
    err = metadata_describe_scram(publication->image, request->body, &request->arena, response);
    if (err != OK)
        request_answer_failed(request, err, NULL);
    else
        request_answer(request, response);
}
