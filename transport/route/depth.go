package route

// tooDeep tells whether arrays and objects nest deeper than limit anywhere in
// text. It looks at brackets outside of strings only: whether text is JSON at all
// is for the decoder to say, which would otherwise do all the work of the depth
// before refusing it.
func tooDeep(text []byte, limit int) bool {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			if depth++; depth > limit {
				return true
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		}
	}
	return false
}
