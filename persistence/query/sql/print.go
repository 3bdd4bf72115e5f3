package sql

import "encoding/hex"

// printer appends the JSON of a value, as PostgreSQL's to_json writes it. The value
// is the text that the type's output function gives, and of a uuid its 16 bytes.
type printer func(out, value []byte) []byte

// printText appends what is JSON already: whole numbers, and JSON itself.
func printText(out, value []byte) []byte { return append(out, value...) }

func printBool(out, value []byte) []byte {
	if value[0] == 't' {
		return append(out, "true"...)
	}
	return append(out, "false"...)
}

// printNumber appends a number; NaN and the infinities are strings in JSON.
func printNumber(out, value []byte) []byte {
	if c := value[len(value)-1]; c >= '0' && c <= '9' {
		return append(out, value...)
	}
	return printString(out, value)
}

func printUUID(out, value []byte) []byte {
	out = append(out, '"')
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		start := 0
		if i > 0 {
			start = 2 + 2*i
			out = append(out, '-')
		}
		out = hex.AppendEncode(out, value[start:end])
	}
	return append(out, '"')
}

// printTimestamp appends a moment: JSON has a T between date and time, and minutes
// in every offset. Where a function has set another DateStyle than ISO for its
// transaction, the text stays as that style has it.
func printTimestamp(out, value []byte) []byte {
	date := 0
	for date < len(value) && value[date] != ' ' {
		date++
	}
	if !isDate(value[:date]) || date == len(value) { // infinity, or another style
		return printString(out, value)
	}
	out = append(append(append(out, '"'), value[:date]...), 'T')
	rest := value[date+1:]
	end := len(rest)
	if end > 3 && string(rest[end-3:]) == " BC" {
		end -= 3
	}
	out = append(out, rest[:end]...)
	if end > 3 && (rest[end-3] == '+' || rest[end-3] == '-') {
		out = append(out, ":00"...)
	}
	return append(append(out, rest[end:]...), '"')
}

// isDate tells a date in the ISO style: 2006-01-02, with more digits for years that
// are far.
func isDate(text []byte) bool {
	if n := len(text); n < len("2006-01-02") || text[n-3] != '-' || text[n-6] != '-' {
		return false
	}
	return text[0] >= '0' && text[0] <= '9'
}

// printString appends a text as a string.
func printString(out, value []byte) []byte { return appendString(out, value) }

// plainByte are the bytes that stand for themselves in a string.
var plainByte = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// appendString appends a string with PostgreSQL's escapes, which are fewer than
// those of encoding/json.
func appendString[T string | []byte](out []byte, text T) []byte {
	out = append(out, '"')
	start := 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		if plainByte[c] {
			continue
		}
		out = append(append(out, text[start:i]...), '\\')
		start = i + 1
		switch c {
		case '"', '\\':
			out = append(out, c)
		case '\b':
			out = append(out, 'b')
		case '\f':
			out = append(out, 'f')
		case '\n':
			out = append(out, 'n')
		case '\r':
			out = append(out, 'r')
		case '\t':
			out = append(out, 't')
		default:
			out = append(out, 'u', '0', '0')
			out = hex.AppendEncode(out, []byte{c})
		}
	}
	return append(append(out, text[start:]...), '"')
}
