// Package kernel is the small layer over protoactor-go that every actor stands
// on. Nobody else but cluster imports that library.
//
// An Actor handles one message at a time and never blocks. It is reached by its
// Ref: Tell is fire and forget, Ask waits for a typed reply or a coded fault.
// What the kernel promises:
//
//   - A mailbox is bounded, and its overflow policy is named in Props. A sender
//     never waits and never spins.
//   - An Ask always ends: with the reply, with the fault of the receiver (a
//     panic is INTERNAL_ERROR), with SERVICE_UNAVAILABLE when the receiver stops
//     before it answered, with OVERLOADED when its mailbox is full, or when the
//     asker's context does.
//   - An actor that panics is restarted with exponential back-off or stopped, as
//     Props says; its siblings and its parent go on.
//   - Goroutines and timers made through a Context end with their actor, and
//     Shutdown waits for all of them.
//
// Work that blocks runs in a Pool, whose workers are actors that may, or through
// Context.Go. Messages are shared between goroutines: nobody changes one after it
// was sent.
package kernel
