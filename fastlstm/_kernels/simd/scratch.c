#include "scratch.h"

#include "atomic.h"
#include "system.h"

static fl_lock making = FL_UNLOCKED;
static ptrdiff_t made;
static int there;
static fl_own held; /* frees what a thread leaves when it ends */
static FL_OF_THREAD size_t size;

static void FL_OWN_END leave(void *room) { fl_memory_free(room); }

static void make(void) {
    fl_lock_take(&making);
    if (!made) there = fl_own_make(&held, leave);
    fl_store(&made, 1);
    fl_lock_leave(&making);
}

void *fl_room(size_t bytes) {
    void *room;
    if (!fl_load(&made)) make();
    if (!there) return NULL;
    room = fl_own_get(held);
    if (bytes <= size) return room;
    fl_memory_free(room);
    size = 0;
    room = fl_memory(bytes);
    if (!fl_own_set(held, room)) {
        fl_memory_free(room);
        return NULL;
    }
    if (room) size = bytes;
    return room;
}
