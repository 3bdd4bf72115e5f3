package db

import "github.com/jackc/pgx/v5"

// Then is the statement with something that follows once its rows were read without an
// error. Statements are read in their order, so that of a transaction that failed one
// can tell how far it came; what was read has been undone all the same.
func (s Statement) Then(next func()) Statement {
	read := s.Read
	s.Read = func(rows pgx.Rows) error {
		if read != nil {
			if err := read(rows); err != nil {
				return err
			}
		} else {
			rows.Close()
		}
		if err := rows.Err(); err != nil {
			return err
		}
		next()
		return nil
	}
	return s
}
