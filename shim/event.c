/* The library's events: from its threads to the objects that they are about.
 *
 * An object lives as long as the library may say something about its handle: until WS_EVENT_HANDLE_CLOSED, which is the last. What an object does
 * with an event must be short: it runs on the thread that serves the session's connections. */
#include "shim.h"

static void happened(const ws_event *event, void *context)
{
    object *object = context;
    if (event->type == WS_EVENT_HANDLE_CLOSED) object_release(object);
    else if (object->class->happened != NULL) object->class->happened(object, event);
}

void event_follow(object *object, ws_handle inner)
{
    object_keep(object);
    if (ws_set_callback(inner, happened, object) != WS_OK) object_release(object);
}

void event_ignore(ws_handle inner) { (void)ws_set_callback(inner, NULL, NULL); }
