"""Pages for members: GET shows, POST acts."""
