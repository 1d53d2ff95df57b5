#include <algorithm>
#include <chrono>
#include <string>

#include "engine/text/template/evaluator.hpp"

namespace tenon::engine::jinja {
namespace {

std::string padded(int n, int width, char fill = '0') {
  std::string const digits = std::to_string(n);
  auto const        size   = static_cast<int>(digits.size());
  return size < width ? std::string(static_cast<std::size_t>(width - size), fill) + digits : digits;
}

}  // namespace

marked_text time_text(execution& x, marked_text const& format, std::int64_t seconds) {
  using namespace std::chrono;
  constexpr char const*  months[] = {"January", "February", "March",     "April",   "May",      "June",
                                     "July",    "August",   "September", "October", "November", "December"};
  constexpr char const*  days[]   = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
  constexpr std::int64_t last     = 253'402'300'799;  // of the year 9999
  if (seconds < 0 || seconds > last)
    x.fail("the time is out of range", std::to_string(seconds), "the years 1970 to 9999");
  sys_seconds const    now{std::chrono::seconds(seconds)};
  sys_days const       today = floor<std::chrono::days>(now);
  year_month_day const date(today);
  hh_mm_ss const       time(now - today);
  int const            year = int(date.year()), month = static_cast<int>(unsigned(date.month())),
            day    = static_cast<int>(unsigned(date.day()));
  int const   hour = static_cast<int>(time.hours().count()), minute = static_cast<int>(time.minutes().count());
  int const   second  = static_cast<int>(time.seconds().count());
  int const   of_week = static_cast<int>(weekday(today).c_encoding());
  int const   of_year = static_cast<int>((today - sys_days(date.year() / January / 1)).count()) + 1;
  marked_text text;
  for (std::size_t at = 0; at < format.size();) {
    std::size_t const percent = std::min(format.bytes().find('%', at), format.size());
    text.append(format, at, percent);
    if (percent == format.size()) break;
    if (percent + 1 == format.size()) {
      text.append(format, percent, percent + 1);
      break;
    }
    std::string part;
    switch (char const c = format.bytes()[percent + 1]) {
      case 'Y': part = std::to_string(year); break;
      case 'y': part = padded(year % 100, 2); break;
      case 'm': part = padded(month, 2); break;
      case 'd': part = padded(day, 2); break;
      case 'e': part = padded(day, 2, ' '); break;
      case 'B': part = months[month - 1]; break;
      case 'b': part.assign(months[month - 1], 3); break;
      case 'A': part = days[of_week]; break;
      case 'a': part.assign(days[of_week], 3); break;
      case 'H': part = padded(hour, 2); break;
      case 'I': part = padded(hour % 12 == 0 ? 12 : hour % 12, 2); break;
      case 'M': part = padded(minute, 2); break;
      case 'S': part = padded(second, 2); break;
      case 'p': part = hour < 12 ? "AM" : "PM"; break;
      case 'j': part = padded(of_year, 3); break;
      case 'F': part = std::to_string(year) + "-" + padded(month, 2) + "-" + padded(day, 2); break;
      case 'T': part = padded(hour, 2) + ":" + padded(minute, 2) + ":" + padded(second, 2); break;
      case '%': part = '%'; break;
      default:
        x.fail(failure::unsupported, "unknown part of a time", in_quotes(std::string("%") + c),
               "one of Y y m d e B b A a H I M S p j F T");
    }
    x.make(part.size());
    text.append(part, format.origin(percent));
    at = percent + 2;
  }
  return text;
}

}  // namespace tenon::engine::jinja
