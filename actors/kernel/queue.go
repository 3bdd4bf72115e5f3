package kernel

// entry is a message in a mailbox, with the request it came with, if any.
type entry struct {
	msg any
	req *Request
}

// keptCapacity is the size up to which an empty queue keeps its memory.
const keptCapacity = 16

// queue is a FIFO ring that grows by need and gives the memory of a burst back.
type queue struct {
	buf  []entry
	head int
	size int
}

func (q *queue) push(e entry) {
	if q.size == len(q.buf) {
		q.grow()
	}
	q.buf[(q.head+q.size)&(len(q.buf)-1)] = e
	q.size++
}

func (q *queue) pop() entry {
	e := q.buf[q.head]
	q.buf[q.head] = entry{}
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.size--
	if q.size == 0 && len(q.buf) > keptCapacity {
		*q = queue{}
	}
	return e
}

// take empties the queue.
func (q *queue) take() []entry {
	var all []entry
	for q.size > 0 {
		all = append(all, q.pop())
	}
	return all
}

// prune throws the entries away that drop says yes to.
func (q *queue) prune(drop func(entry) bool) {
	for range q.size {
		if e := q.pop(); !drop(e) {
			q.push(e)
		}
	}
}

func (q *queue) grow() {
	// Lengths are powers of two: push and pop wrap with a mask.
	buf := make([]entry, max(4, 2*len(q.buf)))
	for i := range q.size {
		buf[i] = q.buf[(q.head+i)&(len(q.buf)-1)]
	}
	q.buf, q.head = buf, 0
}
