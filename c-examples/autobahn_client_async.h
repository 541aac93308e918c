/* autobahn_client in event-driven mode: one thread, which drives a loop and takes its events in batches, without a callback. A part of autobahn_client.c. */
#ifndef WS101_EXAMPLE_AUTOBAHN_CLIENT_ASYNC_H
#define WS101_EXAMPLE_AUTOBAHN_CLIENT_ASYNC_H
#include "example.h"

static struct {
    ws_handle loop;
    ws_event batch[16];
    size_t count, next;
} events;

/* Hands events out one by one. What one points to is valid until the next batch is fetched. */
static ws_status next_event(const ws_event **event)
{
    while (events.next == events.count) {
        ws_status status = ws_loop_wait(events.loop, events.batch, sizeof events.batch / sizeof *events.batch, &events.count, WS_WAIT_FOREVER);
        if (status != WS_OK) return status;
        events.next = 0;
    }
    *event = &events.batch[events.next++];
    return WS_OK;
}

/* The completion of an operation on a handle; other events are not of interest here. */
static ws_status wait_for(ws_handle handle, ws_event_type type, const ws_event **event)
{
    ws_status status;
    do {
        status = next_event(event);
    } while (status == WS_OK && ((*event)->handle != handle || (*event)->type != type));
    return status == WS_OK ? (*event)->status : status;
}

static ws_status dial_async(ws_handle session, const char *url, ws_handle *websocket)
{
    const ws_event *event;
    ws_handle request;
    ws_status status = ws_connect(session, url, &request);
    if (status != WS_OK) return status;
    status = ws_complete_upgrade(request, websocket);
    if (status == WS_PENDING && (status = wait_for(request, WS_EVENT_UPGRADED, &event)) == WS_OK) *websocket = event->child;
    ws_close_handle(request);
    return status;
}

static ws_status close_async(ws_handle websocket)
{
    const ws_event *event;
    ws_status status = ws_close(websocket, WS_CLOSE_NORMAL, NULL, 0);
    return status == WS_PENDING ? wait_for(websocket, WS_EVENT_CLOSE_COMPLETE, &event) : status;
}

/* The next piece, where the library received it; WS_CLOSE_FRAME is one too. */
static ws_status receive_async(ws_handle websocket, const void **data, size_t *length, ws_buffer_type *type)
{
    const ws_event *event;
    ws_status status = ws_receive_view(websocket, data, length, type);
    if (status != WS_PENDING || (status = wait_for(websocket, WS_EVENT_RECEIVED, &event)) != WS_OK) return status;
    *data = event->data;
    *length = event->length;
    *type = event->buffer_type;
    return WS_OK;
}

/* A session on a loop that this thread drives. What is sent has room in the queue: no case is larger than 16 MiB, and they come one after another. */
static ws_status open_async(ws_handle *session)
{
    const uint64_t queue_limit = 64 << 20;
    ws_status status = ws_loop_create(0, &events.loop);
    if (status == WS_OK) status = ws_open("autobahn_client", WS_FLAG_ASYNC, session);
    if (status == WS_OK) status = ws_set_option(*session, WS_OPTION_LOOP, &events.loop, sizeof events.loop);
    return status == WS_OK ? ws_set_option(*session, WS_OPTION_SEND_QUEUE_LIMIT, &queue_limit, sizeof queue_limit) : status;
}

#endif
