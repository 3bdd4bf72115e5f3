package data

import "fluxbase/persistence/query"

// sized is a message with a query whose parts are counted before it is compiled.
type sized interface{ size() query.Size }

func (m *List) size() query.Size       { return m.Query.Size() }
func (m *Get) size() query.Size        { return m.Query.Size() }
func (m *Export) size() query.Size     { return m.Query.Size() }
func (m *Search) size() query.Size     { return m.Query.Size() }
func (m *Call) size() query.Size       { return m.Query.Size() }
func (m *Create) size() query.Size     { return m.Query.Size() }
func (m *Update) size() query.Size     { return m.Query.Size() }
func (m *UpdateEach) size() query.Size { return m.Query.Size() }
func (m *Delete) size() query.Size     { return m.Query.Size() }
func (m *UpdateOne) size() query.Size  { return m.Query.Size() }
func (m *DeleteOne) size() query.Size  { return m.Query.Size() }
