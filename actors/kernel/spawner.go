package kernel

// Spawner makes actors: a *System makes top-level ones, a *Context children.
type Spawner interface {
	Spawn(p Props) (Ref, error)
	SpawnPool(p PoolProps) (*Pool, error)
}

var (
	_ Spawner = (*System)(nil)
	_ Spawner = (*Context)(nil)
)
